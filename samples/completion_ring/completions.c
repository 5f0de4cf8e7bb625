// SPDX-License-Identifier: GPL-2.0
/*
 * Uses everything that /dev/completion_ring has, with real processes, and says "ok NAME" for each
 * scenario that went as it should. The last line is "ok all", and the exit code 0, if all did.
 *
 * Build it with: cc -O2 -Wall -static -o completions completions.c
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t u64;

#define SUBMIT	_IOW('|', 0x90, u64[3])
#define WAIT	_IOW('|', 0x91, u64[5])
#define CLOSE	_IO('|', 0x92)
#define COUNTS	_IOR('|', 0x93, u64[4])

#define FOREVER	UINT64_MAX
#define MAX_NR	64

static const char *scenario;

static void fail(const char *format, ...)
{
	va_list args;

	printf("FAILED: %s: ", scenario);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

#define check(condition, ...) do { if (!(condition)) fail(__VA_ARGS__); } while (0)

static int open_ring(int flags)
{
	int fd = open("/dev/completion_ring", O_RDWR | flags);

	check(fd >= 0, "open: %s", strerror(errno));
	return fd;
}

static void submit(int fd, u64 first, u64 nr, u64 period)
{
	u64 argument[] = { first, nr, period };

	/* The one before may be just about to end. */
	while (ioctl(fd, SUBMIT, argument)) {
		check(errno == EBUSY, "submit: %s", strerror(errno));
		usleep(1000);
	}
}

static int wait_for(int fd, u64 *buffer, u64 nr, u64 min_nr, u64 min_wait, u64 timeout)
{
	u64 argument[] = { (uintptr_t)buffer, nr, min_nr, min_wait, timeout };
	int ret = ioctl(fd, WAIT, argument);

	return ret < 0 ? -errno : ret;
}

struct counts {
	u64 waits, wakeups, skipped, spurious;
};

static struct counts counts(int fd)
{
	struct counts counts;

	check(!ioctl(fd, COUNTS, &counts), "counts: %s", strerror(errno));
	return counts;
}

/* By the clock that stands still between ticks, as time-outs do: on a busy host a tick can be late. */
static u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Sees that so many milliseconds have passed, less a tick, and what is cut off of one. */
static void check_waited(u64 start, u64 ms)
{
	u64 waited = now_ms() - start;
	struct timespec tick;

	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	check(waited + tick.tv_nsec / 1000000 + 1 >= ms, "after %llu ms, not %llu", (unsigned long long)waited, (unsigned long long)ms);
}

/* Memory that parent and children share. */
static void *shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	check(memory != MAP_FAILED, "mmap: %s", strerror(errno));
	return memory;
}

/* What a child that waits has got. */
struct waiter {
	pid_t pid;
	volatile int ret;
	u64 events[MAX_NR];
};

/* Starts a process that waits, and returns when it sleeps in the ring. */
static struct waiter *waiter(int fd, u64 nr, u64 min_nr, u64 min_wait, u64 timeout)
{
	struct waiter *waiter = shared(sizeof(*waiter));
	u64 waits = counts(fd).waits;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	check(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		waiter->ret = wait_for(fd, waiter->events, nr, min_nr, min_wait, timeout);
		_exit(0);
	}
	waiter->pid = pid;
	while (counts(fd).waits == waits)
		usleep(1000);
	return waiter;
}

static void expect(struct waiter *waiter, int ret, u64 first)
{
	int status;

	check(waitpid(waiter->pid, &status, 0) == waiter->pid, "waitpid: %s", strerror(errno));
	check(!status, "a waiter ended with status %#x", status);
	check(waiter->ret == ret, "a waiter got %d, not %d", waiter->ret, ret);
	for (int i = 0; i < ret; i++)
		check(waiter->events[i] == first + i, "event %d is %llu", i,
		      (unsigned long long)waiter->events[i]);
	munmap(waiter, sizeof(*waiter));
}

static int still_waits(struct waiter *waiter)
{
	return !waitpid(waiter->pid, NULL, WNOHANG);
}

/* The objection to the aio patch of 2006: two are enough for the second waiter. */
static void objection(void)
{
	int fd = open_ring(0);
	struct waiter *three = waiter(fd, 3, 3, 0, FOREVER);
	struct waiter *two = waiter(fd, 2, 2, 0, FOREVER);
	struct counts c;

	submit(fd, 0, 2, 100);
	expect(two, 2, 0);
	check(still_waits(three), "the waiter for three ran");
	submit(fd, 2, 3, 100);
	expect(three, 3, 2);
	c = counts(fd);
	check(c.waits == 2 && c.wakeups == 2 && c.spurious == 0, "%llu waits, %llu wakeups, %llu spurious",
	      (unsigned long long)c.waits, (unsigned long long)c.wakeups, (unsigned long long)c.spurious);
	close(fd);
}

static void reading(void)
{
	int fd = open_ring(0);
	u64 events[4];
	ssize_t n;

	check(read(fd, events, 7) < 0 && errno == EINVAL, "a short read worked");
	submit(fd, 10, 3, 1000);
	for (u64 expected = 10; expected < 13; ) {
		n = read(fd, events, sizeof(events));
		check(n > 0 && n % 8 == 0, "read: %zd", n);
		for (int i = 0; i < n / 8; i++)
			check(events[i] == expected++, "out of order");
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	check(read(fd, events, 8) < 0 && errno == EAGAIN, "O_NONBLOCK: %s", strerror(errno));
	check(!ioctl(fd, CLOSE), "close: %s", strerror(errno));
	check(read(fd, events, 8) == 0, "no end of file");
	close(fd);
}

static void polling(void)
{
	int fd = open_ring(O_NONBLOCK);
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	u64 event;

	check(poll(&pollfd, 1, 0) == 0, "ready without an event");
	check(poll(&pollfd, 1, 50) == 0, "ready without an event");
	submit(fd, 7, 1, 20000);
	check(poll(&pollfd, 1, 10000) == 1 && pollfd.revents == POLLIN, "revents %#x", pollfd.revents);
	check(read(fd, &event, 8) == 8 && event == 7, "no event after POLLIN");
	check(poll(&pollfd, 1, 0) == 0, "ready without an event");

	fflush(stdout);
	if (!fork()) {
		usleep(50000);
		ioctl(fd, CLOSE);
		_exit(0);
	}
	check(poll(&pollfd, 1, 10000) == 1 && pollfd.revents == POLLHUP, "revents %#x", pollfd.revents);
	wait(NULL);
	close(fd);
}

static void time_limits(void)
{
	int fd = open_ring(0);
	u64 events[4], start = now_ms();
	int ret;

	ret = wait_for(fd, events, 4, 2, 0, 50);
	check(ret == -ETIMEDOUT, "%d", ret);
	check_waited(start, 50);
	check(wait_for(fd, events, 4, 5, 0, 50) == -EINVAL, "more than fit");

	/* What there is, at the end of the time. */
	submit(fd, 1, 1, 10);
	ret = wait_for(fd, events, 4, 2, 0, 300);
	check(ret == 1 && events[0] == 1, "%d", ret);

	/* After the minimum wait, one is enough; before it, one is not. */
	start = now_ms();
	submit(fd, 2, 1, 10);
	ret = wait_for(fd, events, 4, 3, 300, FOREVER);
	check(ret == 1 && events[0] == 2, "%d", ret);
	check_waited(start, 300);
	start = now_ms();
	submit(fd, 3, 1, 600000);
	ret = wait_for(fd, events, 4, 3, 100, FOREVER);
	check(ret == 1 && events[0] == 3, "%d", ret);
	check_waited(start, 600);
	close(fd);
}

static void on_signal(int sig)
{
}

static void signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	int fd = open_ring(0);
	struct waiter *interrupted, *killed, *other;
	u64 event;

	sigaction(SIGUSR1, &action, NULL);
	interrupted = waiter(fd, 1, 1, 0, FOREVER);
	killed = waiter(fd, 1, 1, 0, FOREVER);
	other = waiter(fd, 1, 1, 0, FOREVER);
	kill(interrupted->pid, SIGUSR1);
	expect(interrupted, -EINTR, 0);
	kill(killed->pid, SIGKILL);
	check(waitpid(killed->pid, NULL, 0) == killed->pid, "waitpid: %s", strerror(errno));

	/* They have taken nothing with them. */
	submit(fd, 5, 1, 10);
	expect(other, 1, 5);
	submit(fd, 6, 1, 10);
	check(wait_for(fd, &event, 1, 1, 0, FOREVER) == 1 && event == 6, "lost");
	close(fd);
}

/* Processes that each want another number share a ring that is too small for all. */
static void many(void)
{
	enum { NR = 5000, PROCESSES = 4 };
	int fd = open_ring(0);
	unsigned char *seen = shared(NR);
	struct counts c;
	int status;

	fflush(stdout);
	for (int process = 0; process < PROCESSES; process++) {
		u64 min_nr = process + 1, events[8], last = 0;
		int ret;

		if (fork())
			continue;
		while ((ret = wait_for(fd, events, 8, min_nr, 0, 1000)) > 0) {
			for (int i = 0; i < ret; i++) {
				check(events[i] < NR, "an event from nowhere");
				check(!last || events[i] > last, "out of order");
				last = events[i];
				__atomic_fetch_add(&seen[events[i]], 1, __ATOMIC_RELAXED);
			}
		}
		check(ret == -ETIMEDOUT, "wait: %s", strerror(-ret));
		_exit(0);
	}
	submit(fd, 0, NR, 50);
	for (int process = 0; process < PROCESSES; process++) {
		wait(&status);
		check(!status, "a process ended with status %#x", status);
	}
	for (int i = 0; i < NR; i++)
		check(seen[i] == 1, "event %d came %d times", i, seen[i]);
	c = counts(fd);
	check(c.spurious == 0, "%llu spurious wakeups", (unsigned long long)c.spurious);
	printf("%llu waits, %llu wakeups, %llu spurious\n", (unsigned long long)c.waits,
	       (unsigned long long)c.wakeups, (unsigned long long)c.spurious);
	close(fd);
}

/* Nobody takes them for a while: the ring is full, and the device keeps the rest. */
static void full(void)
{
	int fd = open_ring(0);
	u64 events[MAX_NR];

	submit(fd, 0, 3 * MAX_NR, 10);
	usleep(200000);
	for (u64 expected = 0; expected < 3 * MAX_NR; ) {
		int ret = wait_for(fd, events, MAX_NR, 1, 0, 10000);

		check(ret > 0, "wait: %s", strerror(-ret));
		for (int i = 0; i < ret; i++)
			check(events[i] == expected++, "lost or overwritten");
	}
	close(fd);
}

static void closing(void)
{
	int fd = open_ring(0);
	struct waiter *some = waiter(fd, 4, 3, 0, FOREVER);
	struct waiter *none = waiter(fd, 4, 3, 0, FOREVER);
	u64 event;

	submit(fd, 1, 2, 10);
	usleep(100000);
	check(!ioctl(fd, CLOSE), "close: %s", strerror(errno));
	expect(some, 2, 1);
	expect(none, -ESHUTDOWN, 0);
	check(wait_for(fd, &event, 1, 1, 0, FOREVER) == -ESHUTDOWN, "waits on a closed ring");
	submit(fd, 3, 2, 10);
	close(fd);
	/* And a file that is closed while its device is at work. */
	fd = open_ring(0);
	submit(fd, 1, 1000, 100);
	close(fd);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} scenarios[] = {
		{ "objection", objection },
		{ "reading", reading },
		{ "polling", polling },
		{ "time_limits", time_limits },
		{ "signals", signals },
		{ "many", many },
		{ "full", full },
		{ "closing", closing },
	};

	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		scenario = scenarios[i].name;
		scenarios[i].run();
		printf("ok %s\n", scenario);
	}
	printf("ok all\n");
	return 0;
}
