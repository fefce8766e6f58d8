// SPDX-License-Identifier: Apache-2.0
//
// The least that can stand between two TUN interfaces: reads a frame from one and
// writes it to the other, as it is, the virtio_net_hdr included, and looks at
// nothing. What a gateway on TUN is measured against.
//
// usage: relay SUBSCRIBER UPSTREAM
//
// One thread for each direction and queue, one queue for each processor. The
// interfaces go when it ends. It says "ready" when it has them.

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20 // since Linux 6.2
#define TUN_F_USO6 0x40
#endif

struct way {
	int from, to;
};

static int attach(const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE};
	unsigned int tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	int fd = open("/dev/net/tun", O_RDWR);

	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0) {
		perror(name);
		exit(1);
	}
	if (ioctl(fd, TUNSETOFFLOAD, tso | TUN_F_USO4 | TUN_F_USO6) < 0 && ioctl(fd, TUNSETOFFLOAD, tso) < 0) {
		perror("TUNSETOFFLOAD");
		exit(1);
	}
	return fd;
}

static void *relay(void *arg)
{
	struct way *way = arg;
	static _Thread_local char frame[10 + 65536];

	for (;;) {
		ssize_t n = read(way->from, frame, sizeof frame);

		// What the kernel does not take is lost, as it would be behind a full queue.
		if (n > 0 && write(way->to, frame, n) < 0)
			continue;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	long queues = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t thread;

	if (argc != 3) {
		fprintf(stderr, "usage: %s SUBSCRIBER UPSTREAM\n", argv[0]);
		return 2;
	}
	for (long i = 0; i < queues; i++) {
		int subscriber = attach(argv[1]), upstream = attach(argv[2]);
		struct way *ways = calloc(2, sizeof *ways);

		ways[0] = (struct way){subscriber, upstream};
		ways[1] = (struct way){upstream, subscriber};
		for (int d = 0; d < 2; d++)
			pthread_create(&thread, NULL, relay, &ways[d]);
	}
	puts("ready");
	fflush(stdout);
	pthread_join(thread, NULL);
	return 0;
}
