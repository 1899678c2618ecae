#include "cert.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY (24L * 3600)

static int set_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (!extension)
        return -EINVAL;
    int ok = X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
    return ok ? 0 : -ENOMEM;
}

static X509 *start(EVP_PKEY *key, const char *name, long from, long to)
{
    X509 *cert = X509_new();
    uint64_t serial = 0;
    if (!cert || RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1)
        return cert;
    X509_set_version(cert, 2);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), from);
    X509_gmtime_adj(X509_getm_notAfter(cert), to);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)name,
                               -1, -1, 0);
    return cert;
}

static X509 *make_ca(EVP_PKEY *key)
{
    X509 *ca = start(key, "polysim throw-away CA", -DAY, 30 * DAY);
    if (!ca)
        return NULL;
    X509_set_issuer_name(ca, X509_get_subject_name(ca));
    if (set_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE") < 0 ||
        set_extension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") < 0 ||
        set_extension(ca, ca, NID_subject_key_identifier, "hash") < 0 || !X509_sign(ca, key, EVP_sha256())) {
        X509_free(ca);
        return NULL;
    }
    return ca;
}

static X509 *make_server(enum sim_cert kind, EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key)
{
    bool wrong = kind == SIM_CERT_WRONG_HOST, alone = kind == SIM_CERT_SELF_SIGNED;
    bool expired = kind == SIM_CERT_EXPIRED;
    X509 *cert = start(key, wrong ? "elsewhere.invalid" : "localhost", expired ? -10 * DAY : -DAY,
                       expired ? -DAY : 30 * DAY);
    if (!cert)
        return NULL;
    X509_set_issuer_name(cert, X509_get_subject_name(alone ? cert : ca));
    if (set_extension(cert, alone ? cert : ca, NID_basic_constraints, "critical,CA:FALSE") < 0 ||
        set_extension(cert, alone ? cert : ca, NID_ext_key_usage, "serverAuth") < 0 ||
        set_extension(cert, alone ? cert : ca, NID_subject_alt_name,
                      wrong ? "DNS:elsewhere.invalid" : "DNS:localhost,IP:127.0.0.1,IP:::1") < 0 ||
        !X509_sign(cert, alone ? key : ca_key, EVP_sha256())) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

static int write_ca(X509 *ca, const char *dir)
{
    char path[4096], temporary[4120];
    snprintf(path, sizeof(path), "%s/ca.pem", dir);
    snprintf(temporary, sizeof(temporary), "%s.%ld", path, (long)getpid());
    if (mkdir(dir, 0755) < 0 && errno != EEXIST)
        return -errno;
    FILE *file = fopen(temporary, "w");
    if (!file)
        return -errno;
    int ok = PEM_write_X509(file, ca);
    if (fclose(file) != 0 || !ok || rename(temporary, path) < 0) {
        int r = errno ? -errno : -EIO;
        unlink(temporary);
        return r;
    }
    return 0;
}

static int choose_http1(SSL *ssl, const unsigned char **out, unsigned char *out_size, const unsigned char *in,
                        unsigned int in_size, void *user)
{
    (void)ssl;
    (void)user;
    static const unsigned char http1[] = "\x08http/1.1";
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_size, http1, sizeof(http1) - 1, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *make_context(X509 *cert, EVP_PKEY *key)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return NULL;
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_alpn_select_cb(ctx, choose_http1, NULL);
    if (SSL_CTX_use_certificate(ctx, cert) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

SSL_CTX *sim_cert_context(enum sim_cert kind, const char *dir, char *err, size_t err_size)
{
    SSL_CTX *ctx = NULL;
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *ca = ca_key ? make_ca(ca_key) : NULL;
    X509 *cert = ca && key ? make_server(kind, key, ca, ca_key) : NULL;
    if (!cert) {
        snprintf(err, err_size, "cannot make a certificate");
    } else {
        int r = dir ? write_ca(ca, dir) : 0;
        if (r < 0)
            snprintf(err, err_size, "cannot write %s/ca.pem: %s", dir, strerror(-r));
        else if (!(ctx = make_context(cert, key)))
            snprintf(err, err_size, "cannot set up TLS");
    }
    X509_free(cert);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    return ctx;
}
