package decode

import "bytes"

// maxElements is how many elements of structured data are compared for duplicate IDs; a message
// with more of them is malformed.
const maxElements = 32

// sdScanner walks over structured data (RFC 5424 section 6.3).
type sdScanner struct {
	b []byte
	i int
}

// element enters the next element and returns its SD-ID; false at the end or at an error.
func (s *sdScanner) element() ([]byte, bool) {
	if s.i >= len(s.b) || s.b[s.i] != '[' {
		return nil, false
	}
	s.i++
	return s.name()
}

// name reads an SD-NAME.
func (s *sdScanner) name() ([]byte, bool) {
	from := s.i
	for s.i < len(s.b) && s.b[s.i] > ' ' && s.b[s.i] != '=' && s.b[s.i] != ']' && s.b[s.i] != '"' {
		s.i++
	}
	return s.b[from:s.i], s.i > from
}

// param reads the next parameter of the entered element. more is false when the element has ended
// (s.i stands behind its "]") or is broken (ok is false).
func (s *sdScanner) param() (name, value []byte, more, ok bool) {
	if s.i >= len(s.b) {
		return nil, nil, false, false
	}
	if s.b[s.i] == ']' {
		s.i++
		return nil, nil, false, true
	}
	if s.b[s.i] != ' ' {
		return nil, nil, false, false
	}
	s.i++
	if name, ok = s.name(); !ok || len(s.b)-s.i < 3 || s.b[s.i] != '=' || s.b[s.i+1] != '"' {
		return nil, nil, false, false
	}
	s.i += 2
	from := s.i
	for s.i < len(s.b) && s.b[s.i] != '"' {
		if s.b[s.i] == '\\' {
			s.i++
		}
		s.i++
	}
	if s.i >= len(s.b) {
		return nil, nil, false, false
	}
	s.i++
	return name, s.b[from : s.i-1], true, true
}

// checkSD returns the length of the structured data that b begins with, 0 when it is broken, and
// whether it is clean: unbroken and without duplicate IDs.
func checkSD(b []byte) (n int, clean bool) {
	s := sdScanner{b: b}
	var ids [maxElements][]byte
	clean = true
	count := 0
	for s.i < len(b) && b[s.i] == '[' {
		id, ok := s.element()
		if !ok {
			return 0, false
		}
		for more := true; more; {
			if _, _, more, ok = s.param(); !ok {
				return 0, false
			}
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
	if s.i < len(b) && b[s.i] != ' ' {
		return 0, false
	}
	return s.i, clean
}

// Param looks up one parameter of structured data (Message.SD), appends its unescaped value to
// dst and returns the result. It returns dst as it was, and false, when the parameter is absent,
// when the structured data is broken, and when the answer is ambiguous: the SD-ID, or the name
// inside its element, occurs twice. It allocates only when dst has no room.
func Param(sd []byte, id, name string, dst []byte) ([]byte, bool) {
	values, found := raw(sd, id, [2]string{name})
	if !found[0] {
		return dst, false
	}
	return appendUnescaped(dst, values[0]), true
}

// Params looks up two parameters of one element in one pass, each as Param does. What is found is
// appended to dst, one after the other; an absent one is nil.
func Params(sd []byte, id, first, second string, dst []byte) (a, b []byte) {
	values, found := raw(sd, id, [2]string{first, second})
	if found[0] {
		dst = appendUnescaped(dst, values[0])
		a = dst[:len(dst):len(dst)]
	}
	if found[1] {
		from := len(dst)
		dst = appendUnescaped(dst, values[1])
		b = dst[from:]
	}
	return a, b
}

// raw finds parameters of an element as they are written, and says of each whether it is there, once.
// An empty name is never there.
func raw(sd []byte, id string, names [2]string) (values [2][]byte, found [2]bool) {
	s := sdScanner{b: sd}
	ids, count := 0, [2]int{}
	for s.i < len(sd) {
		eid, ok := s.element()
		if !ok {
			return values, found
		}
		match := string(eid) == id
		if match {
			ids++
		}
		for {
			pname, v, more, ok := s.param()
			if !ok {
				return values, found
			}
			if !more {
				break
			}
			for i := range names {
				if match && string(pname) == names[i] {
					values[i] = v
					count[i]++
				}
			}
		}
	}
	for i := range found {
		found[i] = ids == 1 && count[i] == 1
	}
	return values, found
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
