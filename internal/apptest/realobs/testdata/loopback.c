// Loaded into OBS by LD_PRELOAD: what OBS binds to every address is bound to 127.0.0.1 instead.
// obs-websocket has no setting for it, and tests open no port to the network.
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int bind(int fd, const struct sockaddr *address, socklen_t length) {
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	if (address->sa_family == AF_INET && length >= sizeof v4) {
		memcpy(&v4, address, sizeof v4);
		if (v4.sin_addr.s_addr == htonl(INADDR_ANY)) {
			v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
			return syscall(SYS_bind, fd, &v4, sizeof v4);
		}
	}
	if (address->sa_family == AF_INET6 && length >= sizeof v6) {
		memcpy(&v6, address, sizeof v6);
		if (IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr)) {
			// IPv4-mapped, as the socket takes both families.
			static const unsigned char mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
			memcpy(&v6.sin6_addr, mapped, sizeof mapped);
			return syscall(SYS_bind, fd, &v6, sizeof v6);
		}
	}
	return syscall(SYS_bind, fd, address, length);
}
