#include "outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct outbox_message {
    struct outbox_message *next;
    size_t size;
    size_t sent;
    uint8_t data[];
};

uint8_t *outbox_add(struct outbox *outbox, size_t size)
{
    struct outbox_message *message = malloc(sizeof(*message) + size);
    if (!message)
        return NULL;
    message->next = NULL;
    message->size = size;
    message->sent = 0;
    if (outbox->last)
        outbox->last->next = message;
    else
        outbox->first = message;
    outbox->last = message;
    outbox->bytes += size;
    return message->data;
}

static void outbox_drop(struct outbox *outbox)
{
    struct outbox_message *message = outbox->first;
    outbox->first = message->next;
    if (!outbox->first)
        outbox->last = NULL;
    outbox->bytes -= message->size - message->sent;
    explicit_bzero(message->data, message->size);
    free(message);
}

int outbox_flush(struct outbox *outbox, struct http_conn *conn)
{
    while (outbox->first) {
        struct outbox_message *message = outbox->first;
        int64_t r = http_conn_send(conn, message->data + message->sent, message->size - message->sent);
        if (r < 0)
            return (int)r;
        message->sent += (size_t)r;
        outbox->bytes -= (size_t)r;
        if (message->sent == message->size)
            outbox_drop(outbox);
    }
    return 0;
}

void outbox_clear(struct outbox *outbox)
{
    while (outbox->first)
        outbox_drop(outbox);
}
