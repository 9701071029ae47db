/* A static program for the sandbox's tests: each argument is one thing to do, in order. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <asm/socket.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void cat(const char *path) {
    char buffer[65536];
    int fd = open(path, O_RDONLY);
    if (fd < 0) { printf("%s: %s\n", path, strerror(errno)); return; }
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0) fwrite(buffer, 1, n, stdout);
    close(fd);
}

static void fill(const char *path, long megabytes) {
    static char block[1 << 20];
    memset(block, 7, sizeof block);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    long written = 0;
    while (fd >= 0 && written < megabytes && write(fd, block, sizeof block) == sizeof block) written++;
    printf("%s %ld MB %s\n", path, written, written == megabytes ? "whole" : strerror(errno));
    close(fd);
    unlink(path);
}

static void list(const char *path) {
    DIR *folder = opendir(path);
    struct dirent *entry;
    if (!folder) { printf("%s: %s\n", path, strerror(errno)); return; }
    while ((entry = readdir(folder))) printf("%s\n", entry->d_name);
    closedir(folder);
}

static void serve_v6(int port) {
    int s = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (bind(s, (void *)&address, sizeof address) || listen(s, 16)) { perror("listen"); exit(9); }
    for (;;) { int c = accept(s, 0, 0); if (c >= 0) { if (write(c, "v6\n", 3) < 0) {} close(c); } }
}

static void tick(void) {
    for (;;) { if (write(1, ".", 1) < 0) exit(0); usleep(1000); }
}

static void processes(void) {
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while ((entry = readdir(proc))) if (isdigit(entry->d_name[0])) printf("process %s\n", entry->d_name);
    closedir(proc);
}

/* Says that it was asked to end, and ends when it has been asked for long enough. */
static int lingers;
static void asked(int signal) {
    /* Not by printf, which the signal may have interrupted. */
    dprintf(1, "asked %d\n", signal);
    if (!lingers) _exit(3);
}

/* Waits for SIGTERM without a handler, as tini and dumb-init do: nothing of it is caught, nor blocked while it waits. */
static void wait_for_signal(void) {
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, 0);
    printf("ready\n");
    while (sigwaitinfo(&set, &info) < 0) {}
    asked(info.si_signo);
}

/* The same by a file descriptor. */
static void read_signal(void) {
    sigset_t set;
    struct signalfd_siginfo info;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, 0);
    int fd = signalfd(-1, &set, 0);
    printf("ready\n");
    while (read(fd, &info, sizeof info) < 0) {}
    asked(info.ssi_signo);
}

/* Children whose parents end first. */
static void orphans(int number) {
    int pipes[2];
    char byte;
    if (pipe(pipes)) return;
    for (int i = 0; i < number; i++) {
        pid_t child = fork();
        if (!child) { if (!fork()) _exit(0); _exit(0); }
        waitpid(child, 0, 0);
    }
    /* All have ended when nobody has the writing end any more. */
    close(pipes[1]);
    while (read(pipes[0], &byte, 1) > 0) {}
}

/* How many have ended and are waited for by nobody, once no more of them go within a second. */
static void zombies(void) {
    int count = 0;
    for (int look = 0; look < 100; look++) {
        DIR *proc = opendir("/proc");
        struct dirent *entry;
        count = 0;
        while ((entry = readdir(proc))) {
            char path[300], line[512] = "";
            if (!isdigit(entry->d_name[0])) continue;
            snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
            int fd = open(path, O_RDONLY);
            if (fd >= 0 && read(fd, line, sizeof line - 1) > 0) { char *end = strrchr(line, ')'); if (end && end[2] == 'Z') count++; }
            close(fd);
        }
        closedir(proc);
        if (!count) break;
        usleep(10000);
    }
    printf("zombies %d\n", count);
}

static void serve(int port) {
    int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (void *)&address, sizeof address) || listen(s, 16)) { perror("listen"); exit(9); }
    printf("listening\n"); fflush(stdout);
    for (;;) { int c = accept(s, 0, 0); if (c >= 0) { if (write(c, "hi\n", 3) < 0) {} close(c); } }
}

/* Serves one connection at a time, each until its client closes it. */
static void serve_one_by_one(int port) {
    int s = socket(AF_INET, SOCK_STREAM, 0);
    char bytes[64];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (bind(s, (void *)&address, sizeof address) || listen(s, 16)) { perror("listen"); exit(9); }
    for (;;) {
        int client = accept(s, 0, 0);
        while (read(client, bytes, sizeof bytes) > 0);
        close(client);
        printf("closed\n"); fflush(stdout);
    }
}

/* Says what a server says, or why it cannot be asked. */
static void ask(const char *host, int port) {
    char answer[256];
    int s = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval longest = {.tv_sec = 5};
    setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof longest);
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
    inet_pton(AF_INET, host, &address.sin_addr);
    ssize_t n = connect(s, (void *)&address, sizeof address) ? -1 : read(s, answer, sizeof answer);
    if (n < 0) printf("%s %s\n", host, strerror(errno)); else printf("%s %.*s\n", host, (int)n, answer);
    close(s);
}

/* Asks a host whether it is there, as ping does without privileges. */
static void echo(const char *host) {
    unsigned char request[8] = {8, 0, 0, 0, 0, 0, 0, 1}, answer[64];
    int s = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct timeval longest = {.tv_sec = 5};
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
    inet_pton(AF_INET, host, &address.sin_addr);
    ssize_t n = sendto(s, request, sizeof request, 0, (void *)&address, sizeof address) < 0 ? -1 : recv(s, answer, sizeof answer, 0);
    printf("%s %s\n", host, n < 0 ? strerror(errno) : "answers");
    close(s);
}

/* Opens a new terminal and, by its other name, as the one that controls the process. */
static void terminal(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master)) { printf("terminal %s\n", strerror(errno)); return; }
    struct stat s;
    int slave = open(ptsname(master), O_RDWR), tty = open("/dev/tty", O_RDWR);
    printf("%s", slave < 0 || tty < 0 || fstat(slave, &s) ? strerror(errno) : ptsname(master));
    printf(" %d:%d %o\n", s.st_uid, s.st_gid, s.st_mode & 0777);
}

/* Takes all that it may of what the kernel counts by user, and says how much that was. What it took it keeps. */
static void counted(void) {
    struct sigevent none = {.sigev_notify = SIGEV_NONE};
    struct mq_attr queue = {.mq_maxmsg = 10, .mq_msgsize = 8192};
    union sigval value = {.sival_int = 1};
    int watches = 0, queues = 0, signals = 0, timers = 0;
    char name[16];
    timer_t timer;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, 0);
    while (watches < 900 && inotify_init1(0) >= 0) watches++;
    while (queues < 100 && (sprintf(name, "/q%d", queues), mq_open(name, O_CREAT | O_RDWR, 0600, &queue)) != (mqd_t)-1) queues++;
    while (signals < 1000 && !sigqueue(getpid(), SIGRTMIN, value)) signals++;
    while (timers < 300000 && !syscall(SYS_timer_create, CLOCK_MONOTONIC, &none, &timer)) timers++;
    printf("counted %d %d %d\n", watches, queues, signals + timers);
}

/* Loads a filter that allows everything in each way that there is, and says what came of it. */
static void filters(void) {
    struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
    struct sock_fprog program = {1, &allow};
    int one = 1, s = socket(AF_INET, SOCK_DGRAM, 0);
    /* Only such sockets can have one as a group. */
    setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    printf("seccomp %s\n", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) ? strerror(errno) : "worked");
    printf("prctl %s\n", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) ? strerror(errno) : "worked");
    /* The kernel looks at the lower half only. */
    printf("long %s\n", syscall(SYS_prctl, 1L << 32 | PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) ? strerror(errno) : "worked");
    printf("socket %s\n", setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) ? strerror(errno) : "worked");
    printf("group %s\n", setsockopt(s, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) ? strerror(errno) : "worked");
    unsigned action = SECCOMP_RET_ALLOW;
    printf("others %d\n", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) || prctl(PR_GET_DUMPABLE) < 0
        || setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) || setsockopt(s, IPPROTO_IP, IP_TTL, &one, sizeof one));
}

/* Opens terminals until no more can be. */
static void terminals(void) {
    int count = 0;
    while (count < 9000 && open("/dev/ptmx", O_RDWR | O_NOCTTY) >= 0) count++;
    printf("terminals %d\n", count);
}

/* Holds so many MB in buffers of sockets of a kind that nobody reads, and says how far it came. */
static void hold(const char *kind, long megabytes) {
    static char block[60000];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int tcp = !strcmp(kind, "tcp"), large = 4 << 20, listener = -1;
    long long held = 0, most = (long long)megabytes << 20;
    if (tcp) {
        listener = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &large, sizeof large);
        if (bind(listener, (void *)&address, length) || listen(listener, 512)) { perror("listen"); exit(9); }
        getsockname(listener, (void *)&address, &length);
    }
    for (int pair = 0; pair < 450 && held < most; pair++) {
        int from = socket(AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0), to = -1;
        setsockopt(from, SOL_SOCKET, SO_SNDBUF, &large, sizeof large);
        if (!tcp) {
            to = socket(AF_INET, SOCK_DGRAM, 0);
            setsockopt(to, SOL_SOCKET, SO_RCVBUF, &large, sizeof large);
            address.sin_port = 0;
            if (bind(to, (void *)&address, sizeof address)) { perror("bind"); exit(9); }
            getsockname(to, (void *)&address, &length);
        }
        if (connect(from, (void *)&address, sizeof address)) break;
        if (tcp) to = accept(listener, 0, 0);
        ssize_t n = 0;
        for (int sent = 0; sent < 1000 && (n = send(from, block, sizeof block, MSG_DONTWAIT)) > 0; sent++) held += tcp ? n : 0;
        if (tcp) continue;
        /* What was dropped nobody holds: count what can be read, without reading it. */
        unsigned memory[9];
        length = sizeof memory;
        getsockopt(to, SOL_SOCKET, SO_MEMINFO, memory, &length);
        held += memory[0];
        length = sizeof address;
        close(from);
    }
    printf("held %lld MB\n", held >> 20);
}

int main(int argc, char **argv) {
    setvbuf(stdout, 0, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        char *what = argv[i], *value = strchr(what, '=');
        if (value) *value++ = 0; else value = "";
        if (!strcmp(what, "cat")) cat(value);
        else if (!strcmp(what, "list")) list(value);
        else if (!strcmp(what, "cwd")) { char b[4096]; printf("%s\n", getcwd(b, sizeof b)); }
        else if (!strcmp(what, "ids")) printf("%d:%d pid %d\n", getuid(), getgid(), getpid());
        else if (!strcmp(what, "env")) printf("%s\n", getenv(value) ? getenv(value) : "(none)");
        else if (!strcmp(what, "owner")) { struct stat s; printf("%s\n", stat(value, &s) ? strerror(errno) : (sprintf(argv[0], "%d:%d", s.st_uid, s.st_gid), argv[0])); }
        else if (!strcmp(what, "fill")) { char *mb = strchr(value, ':'); *mb++ = 0; fill(value, atol(mb)); }
        else if (!strcmp(what, "alloc")) { long n = atol(value) << 20; char *p = malloc(n); memset(p, 1, n); printf("allocated\n"); }
        else if (!strcmp(what, "read")) { static char b[65536]; int fd = open(value, O_RDONLY); ssize_t n; long all = 0; while ((n = read(fd, b, sizeof b)) > 0) all += n; close(fd); printf("read %ld MB\n", all >> 20); }
        else if (!strcmp(what, "unshare")) printf("unshare %s\n", unshare(CLONE_NEWUSER) ? strerror(errno) : "worked");
        else if (!strcmp(what, "mount")) printf("mount %s\n", mount("none", "/tmp", "tmpfs", 0, 0) ? strerror(errno) : "worked");
        else if (!strcmp(what, "packet")) printf("packet %s\n", socket(AF_PACKET, SOCK_RAW, 0) < 0 ? strerror(errno) : "worked");
        else if (!strcmp(what, "tiocsti")) printf("tiocsti %s\n", ioctl(0, 0x5412, "x") ? strerror(errno) : "worked");
        else if (!strcmp(what, "mknod")) printf("mknod %s\n", mknod("/tmp/sda", S_IFBLK | 0600, 8 << 8) ? strerror(errno) : "worked");
        else if (!strcmp(what, "files")) { int n = 0; while (open("/dev/null", O_RDONLY) >= 0) n++; printf("files %s\n", n < 1100 ? "bounded" : "unbounded"); for (int f = 3; f < 3 + n; f++) close(f); }
        else if (!strcmp(what, "forks")) {
            int n = 0; pid_t p;
            while (n < 5000 && (p = fork()) >= 0) { if (!p) { pause(); _exit(0); } n++; }
            printf("forks %s\n", n < 5000 ? "bounded" : "unbounded");
        }
        else if (!strcmp(what, "write")) { int fd = open(value, O_WRONLY); printf("%s %s\n", value, fd < 0 ? strerror(errno) : "opened"); }
        else if (!strcmp(what, "serve")) serve(atoi(value));
        else if (!strcmp(what, "ask")) { char *port = strchr(value, ':'); *port++ = 0; ask(value, atoi(port)); }
        else if (!strcmp(what, "serve-one-by-one")) serve_one_by_one(atoi(value));
        else if (!strcmp(what, "serve6")) serve_v6(atoi(value));
        else if (!strcmp(what, "tick")) tick();
        else if (!strcmp(what, "catch")) signal(atoi(value), asked);
        else if (!strcmp(what, "orphans")) orphans(atoi(value));
        else if (!strcmp(what, "zombies")) zombies();
        else if (!strcmp(what, "linger")) lingers = 1;
        else if (!strcmp(what, "ready")) { printf("ready\n"); for (;;) pause(); }
        else if (!strcmp(what, "sigwait")) wait_for_signal();
        else if (!strcmp(what, "signalfd")) read_signal();
        else if (!strcmp(what, "child-alloc")) { if (!fork()) { long n = atol(value) << 20; volatile char *p = malloc(n); for (long at = 0; at < n; at += 4096) p[at] = 1; _exit(0); } printf("waited %d\n", wait(0) > 0); }
        else if (!strcmp(what, "processes")) processes();
        else if (!strcmp(what, "say")) { char *text = strchr(value, ':'); *text++ = 0; int fd = open(value, O_WRONLY | O_APPEND); if (fd < 0 || write(fd, text, strlen(text)) < 0) printf("%s %s\n", value, strerror(errno)); close(fd); }
        else if (!strcmp(what, "put")) { char *text = strchr(value, ':'); *text++ = 0; int fd = open(value, O_WRONLY | O_CREAT, 06755); printf("%s %s\n", value, fd < 0 || write(fd, text, strlen(text)) < 0 ? strerror(errno) : "put"); close(fd); }
        else if (!strcmp(what, "echo")) echo(value);
        else if (!strcmp(what, "terminal")) terminal();
        else if (!strcmp(what, "hold")) { char *mb = strchr(value, ':'); *mb++ = 0; hold(value, atol(mb)); }
        else if (!strcmp(what, "filters")) filters();
        else if (!strcmp(what, "terminals")) terminals();
        else if (!strcmp(what, "aio")) { unsigned long context = 0; printf("aio %s\n", syscall(SYS_io_setup, 8, &context) ? strerror(errno) : "worked"); }
        else if (!strcmp(what, "setns")) printf("setns %s\n", setns(open("/proc/self/ns/user", O_RDONLY), CLONE_NEWUSER) ? strerror(errno) : "worked");
        else if (!strcmp(what, "counted")) counted();
        else if (!strcmp(what, "sleep")) sleep(atoi(value));
        else if (!strcmp(what, "exit")) exit(atoi(value));
    }
    return 0;
}
