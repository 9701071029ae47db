/* A server that prints request bodies to standard output, unchanged: before the response, after it
 * (/later), or before a pause (/hold); /answer returns the body. It forks a process per connection,
 * so that requests run concurrently. As an event function it answers {"ms":N,"bytes":M} after N ms
 * with M bytes, and prints the value of {"print":…}. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static char head[65536], body[1 << 20];

static long number(const char *name) {
    char *at = strstr(body, name);
    return at ? strtol(at + strlen(name), NULL, 10) : 0;
}

static void answer(int fd, const char *extra, const char *text, size_t len) {
    char line[512];
    int n = snprintf(line, sizeof line, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", len, extra);
    if (write(fd, line, n) < 0) return;
    while (len > 0) {
        ssize_t sent = write(fd, text, len);
        if (sent <= 0) return;
        text += sent, len -= sent;
    }
}

static void serve(int fd) {
    size_t used = 0, want = 0, have = 0;
    char *end = NULL;
    while (!end && used < sizeof head - 1) {
        ssize_t got = read(fd, head + used, sizeof head - 1 - used);
        if (got <= 0) return;
        used += got, head[used] = 0;
        end = strstr(head, "\r\n\r\n");
    }
    if (!end) return;
    char *length = strcasestr(head, "content-length:");
    want = length ? strtoul(length + 15, NULL, 10) : 0;
    have = used - (end + 4 - head);
    memcpy(body, end + 4, have);
    while (have < want && have < sizeof body - 1) {
        ssize_t got = read(fd, body + have, sizeof body - 1 - have);
        if (got <= 0) return;
        have += got;
    }
    body[have] = 0;
    char *path = strchr(head, ' ') + 1;
    if (strncmp(path, "/event-invoke", 13) == 0) {
        if (strstr(body, "\"print\"")) dprintf(1, "%s\n", body);
        usleep(number("\"ms\":") * 1000);
        size_t len = number("\"bytes\":");
        char *big = malloc(len + 1);
        memset(big, 'x', len);
        answer(fd, "", big, len);
    } else if (strncmp(path, "/later", 6) == 0) {
        answer(fd, "", "ok", 2);
        shutdown(fd, SHUT_WR);
        usleep(20000);
        if (write(1, body, have) < 0) return;
    } else if (strncmp(path, "/hold", 5) == 0) {
        if (write(1, body, have) < 0) return;
        char byte;
        while (read(fd, &byte, 1) > 0) {}
    } else if (strncmp(path, "/answer", 7) == 0) {
        answer(fd, "Content-Type: text/plain\r\n", body, have);
    } else if (strncmp(path, "/binary", 7) == 0) {
        answer(fd, "Content-Type: application/octet-stream\r\n", body, have);
    } else {
        if (write(1, body, have) < 0) return;
        answer(fd, "", "ok", 2);
    }
}

int main(void) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(9000) };
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    signal(SIGCHLD, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 64) != 0) return 1;
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) continue;
        if (fork() == 0) {
            serve(fd);
            _exit(0);
        }
        close(fd);
    }
}
