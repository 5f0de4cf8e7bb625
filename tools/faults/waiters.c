// SPDX-License-Identifier: GPL-2.0
/*
 * waiters BATCHES: processes that wait for the completions of /dev/completion_ring, and are stopped and continued
 * all the while; somebody else freezes them. Each completion must reach one of them, once. Prints "ok waiters".
 *
 * Build it with: cc -O2 -Wall -static -o waiters waiters.c
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SUBMIT	_IOW('|', 0x90, uint64_t[3])
#define WAIT	_IOW('|', 0x91, uint64_t[5])
#define CLOSE	_IO('|', 0x92)

#define PROCESSES	4
#define BATCH		64
#define MAX_BATCHES	1000

/* Shared by all processes: how often each completion was seen, and how many there were. */
static struct seen {
	unsigned int total;
	uint8_t times[MAX_BATCHES * BATCH];
} *seen;

static int fail(const char *what)
{
	printf("FAILED: waiters: %s: %s\n", what, strerror(errno));
	return 1;
}

/* Takes completions until the ring is closed. Signals must not be seen: there is no handler. */
static int waiter(int fd, int reads)
{
	uint64_t buffer[8];
	uint64_t argument[] = { (uintptr_t)buffer, 8, 2, 0, UINT64_MAX };

	for (;;) {
		int nr;

		if (reads) {
			nr = read(fd, buffer, sizeof(buffer));
			if (!nr)
				return 0;
			nr = nr < 0 ? nr : nr / 8;
		} else {
			nr = ioctl(fd, WAIT, argument);
			if (nr < 0 && errno == ESHUTDOWN)
				return 0;
		}
		if (nr < 0)
			return fail(reads ? "read" : "wait");
		__atomic_add_fetch(&seen->total, nr, __ATOMIC_RELAXED);
		while (nr--)
			__atomic_add_fetch(&seen->times[buffer[nr]], 1, __ATOMIC_RELAXED);
	}
}

int main(int argc, char **argv)
{
	unsigned int batches = argc > 1 ? atoi(argv[1]) : 0, end;
	pid_t pids[PROCESSES];
	int fd;

	if (!batches || batches > MAX_BATCHES) {
		fprintf(stderr, "usage: waiters BATCHES\n");
		return 1;
	}
	end = batches * BATCH;
	fd = open("/dev/completion_ring", O_RDWR);
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fd < 0 || seen == MAP_FAILED)
		return fail("/dev/completion_ring");
	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		if (!pids[i])
			_exit(waiter(fd, i % 2));
	}
	for (uint64_t first = 0; first < end; first += BATCH) {
		uint64_t argument[] = { first, BATCH, 2000 };

		while (ioctl(fd, SUBMIT, argument)) {
			if (errno != EBUSY)
				return fail("submit");
			for (int i = 0; i < PROCESSES; i++) {
				kill(pids[i], SIGSTOP);
				usleep(1000);
				kill(pids[i], SIGCONT);
			}
		}
	}
	/* A minute for the last ones. */
	for (int i = 0; i < 60000 && __atomic_load_n(&seen->total, __ATOMIC_RELAXED) < end; i++)
		usleep(1000);
	if (ioctl(fd, CLOSE))
		return fail("close");
	for (int i = 0; i < PROCESSES; i++) {
		int status;

		if (waitpid(pids[i], &status, 0) != pids[i] || status)
			return fail("a waiter has failed");
	}
	for (unsigned int i = 0; i < end; i++) {
		if (seen->times[i] != 1) {
			printf("FAILED: waiters: completion %u was seen %u times\n", i, seen->times[i]);
			return 1;
		}
	}
	printf("ok waiters: %u completions\n", end);
	return 0;
}
