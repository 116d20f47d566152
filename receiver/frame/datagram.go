package frame

import "bytes"

// tlsHandshake is the first byte of a TLS record that carries a handshake.
const tlsHandshake = 0x16

// Datagram returns the message of one datagram: at most one trailing NUL, then at most one
// trailing LF or CRLF are stripped; an LF inside is data (RFC 5426 section 3.1). A message of
// more than limit bytes is cut to it and marked Truncated; limit 0 means DefaultMax. The frame
// points into b and is empty for an empty message.
func Datagram(b []byte, limit int) Frame {
	if limit <= 0 {
		limit = DefaultMax
	}
	b = bytes.TrimSuffix(b, []byte{0})
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = bytes.TrimSuffix(b[:n-1], []byte{'\r'})
	}
	if len(b) > limit {
		return Frame{Bytes: b[:limit], Truncated: true}
	}
	return Frame{Bytes: b}
}

// isHTTP reports whether a line is the request line of HTTP/1.
func isHTTP(line []byte) bool {
	method, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok || len(method) < 3 || len(method) > 7 {
		return false
	}
	for _, c := range method {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	_, version, ok := bytes.Cut(rest, []byte{' '})
	return ok && (string(version) == "HTTP/1.1" || string(version) == "HTTP/1.0")
}
