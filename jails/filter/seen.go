package filter

import "sync"

const (
	seenTexts  = 256 // of one Matcher
	maxSeenLen = 32  // bytes; longer texts are copied each time
)

// seen remembers texts that were copied lately: few user names are tried again and again.
type seen [seenTexts]string

// text is a copy of a captured value, as the function text makes it.
func (s *seen) text(b []byte) string {
	n := len(b)
	if n == 0 || n > maxSeenLen {
		return text(b)
	}
	at := &s[(int(b[0])*31^int(b[n-1])*7^int(b[n/2])*13^n)%seenTexts]
	if *at != string(b) {
		made := text(b)
		if made != string(b) {
			return made // it had something in it that is not kept
		}
		*at = made
	}
	return *at
}

const (
	ports     = 1 << 16
	portWidth = 5 // digits
)

// portTexts are all ports, right-aligned, one behind the other.
var portTexts = sync.OnceValue(func() string {
	all := make([]byte, ports*portWidth)
	for p := range ports {
		for i, v := portWidth-1, p; i >= 0; i, v = i-1, v/10 {
			all[p*portWidth+i] = byte('0' + v%10)
		}
	}
	return string(all)
})

// portText is a copy of a captured port. That of a port as it is usually written allocates nothing.
func portText(b []byte) string {
	if n := len(b); n == 0 || n > portWidth || b[0] == '0' {
		return text(b)
	}
	p := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return text(b)
		}
		p = p*10 + int(c-'0')
	}
	if p >= ports {
		return text(b)
	}
	end := (p + 1) * portWidth
	return portTexts()[end-len(b) : end]
}
