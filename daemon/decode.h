/* daemon/decode.h - `polygond --decode ws|rest FILE`: raw payloads through the hot path's parser, records out
 * as NDJSON. */
#ifndef DAEMON_DECODE_H
#define DAEMON_DECODE_H

/* kind: "ws" (one message a line, or one message over several lines) or "rest" (one body). path "-" is
 * standard input. cluster: name or NULL (stocks). Prints one object an event and one {"refused":reason,...} a
 * refused event on stdout, diagnostics on stderr. Returns the exit code: 0, 1 when anything was refused or
 * unreadable, 2 for usage. */
int decode_main(const char *kind, const char *path, const char *cluster);

#endif
