// SPDX-License-Identifier: GPL-2.0
/*
 * load NTH MODULE.ko [PARAMETERS]: loads a module, once, while the NTH allocation that counts fails. Prints
 *
 *	none		there is no such allocation: the module was loaded
 *	loaded		it has failed, and the module was loaded all the same
 *	refused		it has failed, and the module was not loaded, for want of memory
 *
 * and fails if the outcome is another one. Build it with: cc -O2 -Wall -static -o load load.c
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fail(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	char left[16] = "";
	int nth, module, ret;

	if (argc < 3) {
		fprintf(stderr, "usage: load NTH MODULE.ko [PARAMETERS]\n");
		return 1;
	}
	module = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (module < 0)
		return fail(argv[2]);
	nth = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth < 0)
		return fail("/proc/self/fail-nth");
	if (write(nth, argv[1], strlen(argv[1])) < 0)
		return fail("fail-nth");

	ret = syscall(SYS_finit_module, module, argc > 3 ? argv[3] : "", 0) ? errno : 0;
	if (pread(nth, left, sizeof(left) - 1, 0) < 0 || pwrite(nth, "0", 1, 0) < 0)
		return fail("fail-nth");

	errno = ret;
	if (atoi(left) > 0) {
		if (ret)
			return fail(argv[2]);
		puts("none");
	} else if (!ret) {
		puts("loaded");
	} else if (ret == ENOMEM || ret == ENODEV) {
		/* (ENODEV is what the kernel makes of it for a faux device.) */
		puts("refused");
	} else {
		return fail(argv[2]);
	}
	return 0;
}
