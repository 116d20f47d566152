// Package frame cuts byte streams and datagrams into syslog frames (RFC 6587, RFC 5425,
// RFC 5426). It does not look into a frame.
//
// # Streams
//
// The mode is set by the listener or latched by the connection's first octet: a digit means
// octet counting, anything else LF framing. It never changes afterwards.
//
// LF framing: LF, CRLF and NUL end a frame and are not part of it; empty frames are skipped;
// a CR anywhere else is data; digits are text, so that nothing in a message can switch to
// counting. A frame longer than the limit is delivered once, cut to the limit and marked
// Truncated; the rest up to its terminator is discarded. At the end of the stream a last line
// without a terminator is delivered and marked Unterminated.
//
// Octet counting: MSG-LEN has 1 to 6 digits, the first of them 1 to 9, then one space. One
// trailing LF inside the frame is stripped (rsyslog's protocol-23 template counts it); a frame
// that is empty then is skipped. A declared length above the limit is honoured to the byte: the
// frame is delivered once, cut to the limit and marked Truncated, and the rest of it is discarded.
// Anything else is a framing error and final: the reader never looks for the next frame after
// one, because what follows may be text that an attacker wrote. A stream that ends inside a
// frame ends in io.ErrUnexpectedEOF, and the unfinished frame is not delivered.
//
// The limit counts the bytes of the message, without its terminator or trailing LF.
//
// A stream that begins like a TLS handshake, or whose first frame is an HTTP request line, is a
// framing error too, with a reason that names the mistake.
//
// # Datagrams
//
// One datagram is one message (RFC 5426 section 3.1): an LF inside is data.
//
// # Memory and concurrency
//
// A Reader belongs to one goroutine and owns its buffer. It holds 4 KiB while idle; for a large
// frame or a fast sender it borrows one buffer of about the limit's size from a shared pool and
// gives it back as soon as it is drained. In steady state a frame costs no allocation.
package frame
