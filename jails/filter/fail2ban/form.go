package fail2ban

import (
	"bytes"
	"time"

	"stockade/jails/filter"
	"stockade/jails/filter/dates"
)

// The kinds of lines that filters are written for.
const (
	LogFile    = "file"    // a log file of a syslog daemon, or of the program itself
	LogShort   = "short"   // the same with a shorter header
	LogJournal = "journal" // the journal: HOST IDENT[PID]: MESSAGE
	LogRFC5424 = "rfc5424" // a log file with RFC 5424 headers
)

// headerForm writes the header that a filter of that log type expects in front of the message,
// as it is when the date has been cut out.
func headerForm(logtype string) *filter.Form {
	switch logtype {
	case LogJournal:
		return &filter.Form{Name: "fail2ban/journal", Build: func(dst []byte, l *filter.Line) []byte {
			dst = appendHeader(dst, l, false)
			return appendEscaped(dst, l.Text)
		}}
	case LogRFC5424:
		return &filter.Form{
			Name: "fail2ban/rfc5424",
			Build: func(dst []byte, l *filter.Line) []byte {
				return append(appendRFC5424(dst, l), l.Text...)
			},
			Original: func(dst []byte, l *filter.Line) []byte {
				dst = append(dst, "<13>1 "...)
				dst = l.Time.AppendFormat(dst, time.RFC3339)
				return append(appendRFC5424(dst, l), l.Text...)
			},
		}
	}
	return &filter.Form{
		Name: "fail2ban/file",
		Build: func(dst []byte, l *filter.Line) []byte {
			return append(appendHeader(dst, l, true), l.Text...)
		},
		Original: func(dst []byte, l *filter.Line) []byte {
			dst = l.Time.AppendFormat(dst, time.Stamp)
			return append(appendHeader(dst, l, true), l.Text...)
		},
	}
}

// appendHeader writes "host app[pid]: ", behind a blank where a date stood.
func appendHeader(dst []byte, l *filter.Line, dated bool) []byte {
	if dated {
		dst = append(dst, ' ')
	}
	if len(l.Host) > 0 {
		dst = append(append(dst, l.Host...), ' ')
	}
	if len(l.App) == 0 {
		return dst
	}
	dst = append(dst, l.App...)
	if len(l.PID) > 0 {
		dst = append(append(append(dst, '['), l.PID...), ']')
	}
	return append(dst, ": "...)
}

// appendRFC5424 writes " host app procid - - ". The filters want a number as process id.
func appendRFC5424(dst []byte, l *filter.Line) []byte {
	part := func(b []byte, none string) {
		dst = append(dst, ' ')
		if len(b) == 0 {
			dst = append(dst, none...)
			return
		}
		dst = append(dst, b...)
	}
	part(l.Host, "-")
	part(l.App, "-")
	part(l.PID, "0")
	return append(dst, " - - "...)
}

// appendEscaped writes a message whose line ends are written \n, as the journal's are.
func appendEscaped(dst, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(append(dst, text[:i]...), `\n`...)
		text = text[i+1:]
	}
}

// maxDetectors bounds how many detectors a form keeps warm: one for each worker that matches at
// the same time.
const maxDetectors = 32

// take returns a detector that nobody uses now.
func take(free <-chan *dates.Detector, d *dates.Detector) *dates.Detector {
	select {
	case own := <-free:
		return own
	default:
		return d.Clone()
	}
}

// textForm gives patterns the message itself without its date, for filters that read a log file
// of the program's own. Where a message has no date, and blank is true, a blank stands in for it.
func textForm(name string, d *dates.Detector, blank bool) *filter.Form {
	free := make(chan *dates.Detector, maxDetectors)
	return &filter.Form{
		Name: name,
		Build: func(dst []byte, l *filter.Line) []byte {
			own := take(free, d)
			cut, _, ok := own.Find(l.Text, l.Time)
			select {
			case free <- own:
			default:
			}
			if !ok {
				if blank {
					dst = append(dst, ' ')
				}
				return append(dst, l.Text...)
			}
			return append(append(dst, l.Text[:cut.Start]...), l.Text[cut.End:]...)
		},
		Original: func(dst []byte, l *filter.Line) []byte { return append(dst, l.Text...) },
	}
}
