package filter

import "bytes"

// maxTag is the longest tag that is looked for in a line without an app name, in bytes.
const maxTag = 64

// untagged returns the text of a line of which nothing is known but its text, as in a file that
// keeps no time stamps: without the "name[pid]: " at its beginning, if the filter listens to that
// name. Other text is returned as it is.
func (f *Filter) untagged(text []byte) []byte {
	i := bytes.Index(text[:min(len(text), maxTag)], []byte(": "))
	if i <= 0 || bytes.IndexByte(text[:i], ' ') >= 0 {
		return text
	}
	tag := text[:i]
	if tag[i-1] == ']' {
		if open := bytes.LastIndexByte(tag, '['); open > 0 {
			tag = tag[:open]
		}
	}
	for _, app := range f.apps {
		if app != "*" && app != "**" && (app == string(tag) || isGlob(app) && appMatches(app, string(tag))) {
			return text[i+2:]
		}
	}
	return text
}
