#pragma once
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

// Swift sees no macros with arguments.

/// Has writes take part of what they are given, and from another place when they are repeated.
static inline void junction_ssl_write_in_parts(SSL_CTX *context) {
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}
static inline void junction_ssl_require_tls12(SSL_CTX *context) {
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
}
/// Names the host that is wanted (RFC 6066, SNI).
static inline void junction_ssl_name_host(SSL *ssl, const char *host) { SSL_set_tlsext_host_name(ssl, host); }
