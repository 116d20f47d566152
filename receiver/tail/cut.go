package tail

// carrierLimits are the lengths in bytes at which log carriers cut a message in two: Docker and
// journald count the text, rsyslog the whole message with a PRI and a stamp that look otherwise in
// the file, and its 8k are 8,096.
var carrierLimits = [...]struct{ length, slack int }{{8096, 64}, {8 << 10, 64}, {16 << 10, 0}, {48 << 10, 0}}

// cutByCarrier reports whether a line of a file that a log carrier writes may have been cut, so
// that the following line continues it. That line would begin with text which the sender chose;
// rsyslog even puts a header of its own in front of it.
func cutByCarrier(line, text []byte) bool {
	for _, limit := range carrierLimits {
		for _, n := range [...]int{len(line), len(text)} {
			if n >= limit.length-limit.slack && n <= limit.length+limit.slack {
				return true
			}
		}
	}
	return false
}
