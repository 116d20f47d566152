package filter

import "bytes"

// maxTag is the longest tag that is looked for in a line without an app name, in bytes.
const maxTag = 64

// cutTag parts the "name[pid]: " at the beginning of a text from the rest.
func cutTag(text []byte) (name, rest []byte, ok bool) {
	i := bytes.Index(text[:min(len(text), maxTag)], []byte(": "))
	if i <= 0 || bytes.IndexByte(text[:i], ' ') >= 0 {
		return nil, text, false
	}
	name = text[:i]
	if name[i-1] == ']' {
		if open := bytes.LastIndexByte(name, '['); open > 0 {
			name = name[:open]
		}
	}
	return name, text[i+2:], true
}

// untagged returns the text of a line of which nothing is known but its text, as in a file that
// keeps no time stamps: without the "name[pid]: " at its beginning, if the filter listens to that
// name. Other text is returned as it is.
func (f *Filter) untagged(text []byte) []byte {
	name, rest, ok := cutTag(text)
	if !ok {
		return text
	}
	for _, app := range f.apps {
		if app != "*" && app != "**" && (app == string(name) || isGlob(app) && appMatches(app, string(name))) {
			return rest
		}
	}
	return text
}
