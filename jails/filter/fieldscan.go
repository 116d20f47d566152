package filter

import "bytes"

// set records a field's value. A field that occurs twice is a reason to believe neither: it
// reports false.
func (e *extractor) set(v *values, key int, value []byte) bool {
	if v.present[key] {
		return false
	}
	v.found[key], v.present[key] = value, true
	return true
}

// setNamed records a value under its name, if that is wanted.
func (e *extractor) setNamed(v *values, name, value []byte) bool {
	for k := range e.keys {
		if string(name) == e.keys[k] {
			return e.set(v, k, value)
		}
	}
	return true
}

// readCSV reads comma-separated fields without quotes; their names are positions from 0.
func (e *extractor) readCSV(line []byte, v *values) bool {
	start, n := 0, 0
	for i := 0; i <= len(line); i++ {
		if i < len(line) && line[i] != ',' {
			continue
		}
		for k := range e.keys {
			if e.columns[k] == n {
				v.found[k], v.present[k] = line[start:i], true
			}
		}
		start = i + 1
		n++
	}
	return n > 1
}

// readKV reads key=value pairs parted by spaces, as logfmt writes them: a value may stand in
// double quotes, in which a backslash protects the next character. Words without = are skipped.
func (e *extractor) readKV(line []byte, v *values) bool {
	pairs := 0
	for i := 0; i < len(line); {
		if line[i] == ' ' {
			i++
			continue
		}
		start := i
		for i < len(line) && line[i] != ' ' && line[i] != '=' {
			i++
		}
		if i == len(line) || line[i] == ' ' {
			continue
		}
		name := line[start:i]
		i++
		value, next, ok := e.kvValue(line, i, v)
		if !ok || !e.setNamed(v, name, value) {
			return false
		}
		i = next
		pairs++
	}
	return pairs > 0
}

func (e *extractor) kvValue(line []byte, i int, v *values) (value []byte, next int, ok bool) {
	if i >= len(line) || line[i] != '"' {
		end := bytes.IndexByte(line[i:], ' ')
		if end < 0 {
			return line[i:], len(line), true
		}
		return line[i : i+end], i + end, true
	}
	i++
	from := len(v.scratch)
	for ; i < len(line); i++ {
		switch line[i] {
		case '"':
			// What follows a closing quote must be a space, or the line is not of this format.
			if i+1 < len(line) && line[i+1] != ' ' {
				return nil, 0, false
			}
			return v.scratch[from:len(v.scratch):len(v.scratch)], i + 1, true
		case '\\':
			i++
			if i == len(line) {
				return nil, 0, false
			}
		}
		v.scratch = append(v.scratch, line[i])
	}
	return nil, 0, false
}

var cefHeader = [...]string{"version", "vendor", "product", "device_version", "signature", "name", "severity"}

// readCEF reads the Common Event Format: seven header fields parted by |, then key=value pairs
// whose values may hold spaces and reach to the next key. Header fields have the names of
// cefHeader. In values only = and backslash are escaped, so a value that holds an unescaped key
// looks like two fields; a wanted one that occurs twice is refused.
func (e *extractor) readCEF(line []byte, v *values) bool {
	// A syslog decoder may have taken the mark for the app name.
	rest := bytes.TrimPrefix(line, []byte("CEF:"))
	if i := bytes.IndexByte(rest, '|'); i < 1 || len(bytes.Trim(rest[:i], "0123456789.")) > 0 {
		return false // the version is a number: what stands before a header is no CEF
	}
	for _, name := range cefHeader {
		end := unescapedPipe(rest)
		if end < 0 || !e.setNamed(v, []byte(name), rest[:end]) {
			return false
		}
		rest = rest[end+1:]
	}
	for len(rest) > 0 {
		eq := bytes.IndexByte(rest, '=')
		if eq < 0 {
			return false
		}
		name := rest[:eq]
		rest = rest[eq+1:]
		end := cefValueEnd(rest)
		if !e.setNamed(v, bytes.TrimLeft(name, " "), rest[:end]) {
			return false
		}
		rest = rest[end:]
	}
	return true
}

func unescapedPipe(b []byte) int {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '|':
			return i
		}
	}
	return -1
}

// cefValueEnd returns where a value ends: at the space before the next key, or at the line's end.
func cefValueEnd(b []byte) int {
	space := -1
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case ' ':
			space = i
		case '=':
			if space >= 0 {
				return space
			}
		}
	}
	return len(b)
}
