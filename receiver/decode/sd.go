package decode

import "bytes"

// maxElements is how many elements of structured data are compared for duplicate IDs; a message
// with more of them is malformed.
const maxElements = 32

// endsName are the bytes that no SD-NAME holds (RFC 5424 section 6.3).
var endsName = func() (ends [256]bool) {
	for c := range ' ' + 1 {
		ends[c] = true
	}
	ends['='], ends[']'], ends['"'] = true, true, true
	return ends
}()

// nameEnd returns where the SD-NAME that begins at b[i] ends: at i when there is none.
func nameEnd(b []byte, i int) int {
	for i < len(b) && !endsName[b[i]] {
		i++
	}
	return i
}

// element enters the element that begins at b[i] and returns its SD-ID and the index behind it, -1
// when it is broken. Parameters follow as long as there are more, then leave.
func element(b []byte, i int) (id []byte, next int) {
	if b[i] != '[' {
		return nil, -1
	}
	next = nameEnd(b, i+1)
	if next == i+1 {
		return nil, -1
	}
	return b[i+1 : next], next
}

// param reads the parameter behind the space at b[i]. next is the index behind it, -1 when it is broken.
func param(b []byte, i int) (name, value []byte, next int) {
	i++
	end := nameEnd(b, i)
	if end == i || len(b)-end < 3 || b[end] != '=' || b[end+1] != '"' {
		return nil, nil, -1
	}
	name = b[i:end]
	from := end + 2
	for i = from; i < len(b); i++ {
		switch b[i] {
		case '"':
			return name, b[from:i:i], i + 1
		case '\\':
			i++ // what it escapes
		}
	}
	return nil, nil, -1
}

// more reports whether a parameter follows at b[i]; none does at -1.
func more(b []byte, i int) bool { return i >= 0 && i < len(b) && b[i] == ' ' }

// leave returns the index behind the element whose last parameter ended at b[i], -1 when it is broken.
func leave(b []byte, i int) (next int) {
	if i < 0 || i >= len(b) || b[i] != ']' {
		return -1
	}
	return i + 1
}

// checkSD returns the length of the structured data that b begins with, 0 when it is broken, and
// whether it is clean: unbroken and without duplicate IDs.
func checkSD(b []byte) (n int, clean bool) {
	var ids [maxElements][]byte
	clean = true
	i, count := 0, 0
	for i < len(b) && b[i] == '[' {
		id, next := element(b, i)
		for more(b, next) {
			_, _, next = param(b, next)
		}
		if i = leave(b, next); i < 0 {
			return 0, false
		}
		if count == maxElements {
			clean = false
			continue
		}
		for _, other := range ids[:count] {
			if bytes.Equal(other, id) {
				clean = false
			}
		}
		ids[count] = id
		count++
	}
	if i < len(b) && b[i] != ' ' {
		return 0, false
	}
	return i, clean
}

// Origin reads what structured data (Message.SD) says of the writer of a line: uid and exe of its
// element origin@32473 (the enterprise number of documentation, RFC 5612). The uid is as it was written,
// for a number needs no escape; exe is unescaped, and appended to dst where something in it is escaped.
// Else they are parts of sd. One is nil when it is absent, when the structured data is broken, and when
// the answer is ambiguous: the element, or the name inside it, occurs twice. It allocates only when dst
// has no room.
func Origin(sd, dst []byte) (uid, exe []byte) {
	var elements, uids, exes int
	for i := 0; i < len(sd); {
		id, next := element(sd, i)
		ours := string(id) == "origin@32473"
		if ours {
			elements++
		}
		for more(sd, next) {
			var name, value []byte
			name, value, next = param(sd, next)
			if !ours {
				continue
			}
			switch string(name) {
			case "uid":
				uid, uids = value, uids+1
			case "exe":
				exe, exes = value, exes+1
			}
		}
		if i = leave(sd, next); i < 0 {
			return nil, nil
		}
	}
	if elements != 1 || uids != 1 {
		uid = nil
	}
	if elements != 1 || exes != 1 {
		exe = nil
	}
	if bytes.IndexByte(exe, '\\') >= 0 {
		exe = appendUnescaped(dst, exe)[len(dst):]
	}
	return uid, exe
}

// appendUnescaped appends a PARAM-VALUE without its escapes: a backslash before '"', '\' and ']'.
func appendUnescaped(dst, v []byte) []byte {
	for {
		i := bytes.IndexByte(v, '\\')
		if i < 0 || i+1 == len(v) {
			return append(dst, v...)
		}
		dst = append(dst, v[:i]...)
		if c := v[i+1]; c != '"' && c != '\\' && c != ']' {
			dst = append(dst, '\\')
		}
		dst = append(dst, v[i+1])
		v = v[i+2:]
	}
}
