/* A server that reports its stop signal. It answers every request with "ok", or, to /processes, with its processes and their
 * states. On SIGTERM or SIGINT it takes the name "stopping" and waits for SIGUSR1, on which it exits with code 3; with
 * IGNORE in its environment it has no handlers. /orphans leaves five orphans, and on /exit it exits with code 7.
 * /hang is never answered, /wait and events when SIGUSR2 comes. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void stop(int signal) {
    prctl(PR_SET_NAME, "stopping");
    dprintf(1, "stop signal %d\n", signal);
}

static volatile sig_atomic_t answering;

static void answer(int signal) {
    (void)signal;
    answering = 1;
}

static void leave(int signal) {
    (void)signal;
    _exit(3);
}

/* Creates children whose parent exits first, so that process 1 must reap them. */
static void leave_orphans(void) {
    for (int i = 0; i < 5; i++) {
        pid_t child = fork();
        if (!child) {
            if (!fork()) _exit(0);
            _exit(0);
        }
        waitpid(child, 0, 0);
    }
}

static int list_processes(char *text, size_t size) {
    int length = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        char path[300], line[512] = "";
        if (!isdigit(entry->d_name[0])) continue;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        int fd = open(path, O_RDONLY);
        if (fd < 0) continue;
        if (read(fd, line, sizeof line - 1) > 0) {
            char *name = strchr(line, '('), *end = strrchr(line, ')');
            if (name && end && length + 300 < (int)size)
                length += sprintf(text + length, "%s %.*s %c\n", entry->d_name, (int)(end - name - 1), name + 1, end[2]);
        }
        close(fd);
    }
    closedir(proc);
    return length;
}

int main(void) {
    if (!getenv("IGNORE")) {
        signal(SIGTERM, stop);
        signal(SIGINT, stop);
        signal(SIGUSR1, leave);
        signal(SIGUSR2, answer);
    }
    int one = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9000)};
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(server, (void *)&address, sizeof address) || listen(server, 64)) return 9;
    for (;;) {
        static char request[4096], body[8192];
        int length = sprintf(body, "ok\n"), client = accept(server, 0, 0);
        if (client < 0) continue;
        ssize_t read_bytes = read(client, request, sizeof request - 1);
        request[read_bytes > 0 ? read_bytes : 0] = 0;
        if (!strncmp(request, "GET /exit", 9)) _exit(7);
        if (!strncmp(request, "GET /orphans", 12)) leave_orphans();
        if (!strncmp(request, "GET /processes", 14)) length = list_processes(body, sizeof body);
        if (!strncmp(request, "GET /hang", 9)) for (;;) pause();
        if (!strncmp(request, "GET /wait", 9) || !strncmp(request, "POST /event-invoke", 18)) while (!answering) usleep(10000);
        dprintf(client, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%.*s", length, length, body);
        close(client);
    }
}
