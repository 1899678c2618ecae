/* daemon/ws.h - RFC 6455 client codec: bytes in, messages out. Pure: no I/O, no clock; randomness is the
 * caller's. */
#ifndef DAEMON_WS_H
#define DAEMON_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ws_opcode { WS_CONT = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

/* ---------------------------------------------------------------------------------------------- handshake */

#define WS_KEY_SIZE 25 /* base64 of 16 bytes, NUL */

/* Writes the upgrade request. Returns its length, -ENOBUFS, -EINVAL (control characters in host or path). No
 * key goes in here. */
int ws_request(char *buf, size_t size, const char *host, const char *path, const uint8_t nonce[16],
               char ret_key[WS_KEY_SIZE]);

/* Checks the answer to it. Returns bytes of the header (frames follow), 0 when incomplete, -EPROTO when it is
 * no valid 101 for this key, -EMSGSIZE when longer than 16 KiB. ret_status: the HTTP status, 0 if none was
 * read. */
int ws_response(const char *buf, size_t size, const char key[WS_KEY_SIZE], int *ret_status);

/* ---------------------------------------------------------------------------------------------- receiving */

struct ws_sink {
    /* A whole message, defragmented and (where it fitted) in place in the receive buffer. */
    void (*message)(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size);
    /* Ping, pong or close, payload up to 125 bytes. */
    void (*control)(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size);
    void *user;
};

struct ws_decoder; /* owns the receive buffer */

/* max_message: a longer message is refused (-EMSGSIZE). The buffer grows up to it plus a header. */
struct ws_decoder *ws_decoder_new(size_t max_message);
void ws_decoder_free(struct ws_decoder *d);
void ws_decoder_reset(struct ws_decoder *d); /* a new connection */

/* Where the next bytes go: at least 1 byte is free (NULL: out of memory). The codec parses in place: no copy.
 */
uint8_t *ws_decoder_space(struct ws_decoder *d, size_t *ret_size);

/* Takes `size` bytes that were written there. Calls the sink for each complete message. 0, or -EPROTO with a
 * reason from ws_decoder_reason (masked frame, reserved bits, bad opcode, fragmented control, ...),
 * -EMSGSIZE, -EILSEQ (text not UTF-8). */
int ws_decoder_take(struct ws_decoder *d, size_t size, const struct ws_sink *sink)
    __attribute__((warn_unused_result));
const char *ws_decoder_reason(const struct ws_decoder *d);

/* Well-formed UTF-8: no overlong forms, surrogates, or anything beyond U+10FFFF. */
bool ws_is_utf8(const uint8_t *p, size_t n);

/* ------------------------------------------------------------------------------------------------ sending */

/* Writes one final, masked frame. Returns its length or -ENOBUFS. Needs size + 14 bytes at most. */
int64_t ws_frame(uint8_t *buf, size_t buf_size, enum ws_opcode opcode, const void *data, size_t size,
                 const uint8_t mask[4]);

/* Close codes: the 2-byte code of a close payload, 1005 when empty; -EPROTO for a code that must not be sent.
 */
int ws_close_code(const uint8_t *data, size_t size);

#endif
