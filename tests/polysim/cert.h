/* cert.h - a throw-away certificate authority and a server certificate, made at every start. */
#ifndef POLYSIM_CERT_H
#define POLYSIM_CERT_H

#include <openssl/ssl.h>

enum sim_cert {
    SIM_CERT_OK,         /* localhost, 127.0.0.1, ::1 */
    SIM_CERT_WRONG_HOST, /* names another host */
    SIM_CERT_EXPIRED,    /* ended yesterday */
    SIM_CERT_SELF_SIGNED /* signed by nobody that ca.pem knows */
};

/* A server context. Writes DIR/ca.pem (mode 0644; the keys never leave memory); dir NULL: nothing is written.
 * NULL with a message in `err`. */
SSL_CTX *sim_cert_context(enum sim_cert kind, const char *dir, char *err, size_t err_size);

#endif
