/* A server that behaves like many real ones. It closes a connection after KEEP_ALIVE_S idle
 * seconds, writes head and body of a response separately without TCP_NODELAY, and has a listen
 * backlog of BACKLOG connections. With SLOW_MS it serves one connection at a time, one request on
 * each, and takes that many milliseconds for it.
 * It responds with the time of its start, which identifies the instance. Events are counted: an
 * event that contains "fail" aborts the connection after it was counted, and one that contains
 * "count" returns the number of the others. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static atomic_int runs;
static long long started;
static int slow_ms, keep_alive_s;

static int setting(const char *name, int otherwise) {
    const char *value = getenv(name);
    return value ? atoi(value) : otherwise;
}

/* Reads a whole request; returns 0 when the connection has ended. */
static int read_request(int client, char *request, size_t size) {
    size_t length = 0;
    for (;;) {
        ssize_t more = read(client, request + length, size - 1 - length);
        if (more <= 0) return 0;
        length += more;
        request[length] = 0;
        char *end = strstr(request, "\r\n\r\n"), *announced = strcasestr(request, "content-length:");
        size_t body = announced ? atoi(announced + 15) : 0;
        if (end && length >= end + 4 - request + body) return 1;
    }
}

static void answer(int client, const char *body) {
    char head[200];
    int length = sprintf(head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n", strlen(body),
                         slow_ms ? "Connection: close\r\n" : "");
    write(client, head, length);
    write(client, body, strlen(body));
}

static void *serve(void *arg) {
    int client = (int)(intptr_t)arg;
    char request[8192], body[40];
    struct pollfd silent = {.fd = client, .events = POLLIN};
    for (;;) {
        /* Like an event loop whose timers run before pending input is read. */
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        int ready = poll(&silent, 1, keep_alive_s * 1000);
        clock_gettime(CLOCK_MONOTONIC, &after);
        if (ready <= 0 || after.tv_sec - before.tv_sec > keep_alive_s) break;
        if (!read_request(client, request, sizeof request)) break;
        if (slow_ms) usleep(slow_ms * 1000);
        sprintf(body, "%lld", started);
        if (!strncmp(request, "POST /event-invoke", 18)) {
            if (!strstr(request, "\"count\"")) runs++;
            if (strstr(request, "\"fail\"")) break;
            sprintf(body, "%d", runs);
        }
        answer(client, body);
        if (slow_ms) break;
    }
    close(client);
    return 0;
}

int main(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    started = now.tv_sec * 1000000000LL + now.tv_nsec;
    slow_ms = setting("SLOW_MS", 0);
    keep_alive_s = setting("KEEP_ALIVE_S", 60);
    signal(SIGPIPE, SIG_IGN);
    int one = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9000)};
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(server, (void *)&address, sizeof address) || listen(server, setting("BACKLOG", 64))) return 9;
    int end_after_ms = setting("END_AFTER_MS", -1);
    if (end_after_ms >= 0) {
        usleep(end_after_ms * 1000);
        fputs("cannot write the pid file\n", stderr);
        return 4;
    }
    for (;;) {
        int client = accept(server, 0, 0);
        pthread_t thread;
        if (client < 0) continue;
        if (slow_ms) serve((void *)(intptr_t)client);
        else if (!pthread_create(&thread, 0, serve, (void *)(intptr_t)client)) pthread_detach(thread);
    }
}
