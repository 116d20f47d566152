// Package pki keeps a small certificate authority in one folder: a CA, the certificate of this
// host's listeners, and one client certificate for each host that sends. All keys are ECDSA P-256,
// made here, and readable by their owner alone.
//
// The folder holds ca.pem and ca.key, server.pem and server.key, NAME.pem and NAME.key of each
// client, and index.json, which remembers every certificate ever issued. A file is written whole
// or not at all, and an existing certificate is replaced only on request. Functions that write
// take a lock on the folder: two processes may use it at once.
package pki
