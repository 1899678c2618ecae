/* frame.h - RFC 6455, the server's side: bytes in, messages out; messages in, bytes out. Pure: no I/O. */
#ifndef POLYSIM_FRAME_H
#define POLYSIM_FRAME_H

#include "text.h"

enum sim_opcode { SIM_CONT = 0, SIM_TEXT = 1, SIM_BINARY = 2, SIM_CLOSE = 8, SIM_PING = 9, SIM_PONG = 10 };

#define SIM_MESSAGE_MAX (1u << 20)

struct sim_frame_reader {
    struct sim_text message; /* fragments so far, unmasked */
    enum sim_opcode opcode;  /* of the message in progress */
    bool partial;            /* a message has begun and not ended */
};

struct sim_frame_sink {
    void (*message)(void *user, enum sim_opcode opcode, const char *data, size_t size);
    void (*control)(void *user, enum sim_opcode opcode, const char *data, size_t size);
    bool (*stopped)(void *user); /* true: the connection was ended from within, take no more; may be NULL */
    void *user;
};

void sim_frame_reader_fini(struct sim_frame_reader *reader);

/* Takes whole frames off the front of data (and unmasks them in place). ret_used: bytes taken. Returns 0, or
 * the close code to fail the connection with: 1002 (protocol), 1007 (not UTF-8), 1009 (message over
 * SIM_MESSAGE_MAX). */
int sim_frame_read(struct sim_frame_reader *reader, char *data, size_t size, size_t *ret_used,
                   const struct sim_frame_sink *sink);

/* One frame, not masked. */
void sim_frame_write(struct sim_text *out, bool final, enum sim_opcode opcode, const void *data, size_t size);
void sim_frame_close(struct sim_text *out, int code, const char *reason);

/* Sec-WebSocket-Accept for a key (28 characters and NUL). */
void sim_frame_accept(const char *key, char accept[29]);

bool sim_utf8_valid(const char *data, size_t size);
/* May this code travel in a close frame? */
bool sim_close_code_valid(int code);

#endif
