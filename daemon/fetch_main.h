/* daemon/fetch_main.h - `polygond --fetch`: see docs/clients.md. */
#ifndef DAEMON_FETCH_MAIN_H
#define DAEMON_FETCH_MAIN_H

/* argv[0] is "--fetch". The exit code. */
int fetch_main(int argc, char **argv);

#endif
