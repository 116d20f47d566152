package fail2ban

import (
	"bytes"
	"strconv"
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
			return appendEscaped(appendHeader(dst, l, false), l.Text, `\n`)
		}}
	case LogRFC5424:
		return &filter.Form{
			Name: "fail2ban/rfc5424",
			Build: func(dst []byte, l *filter.Line) []byte {
				return appendEscaped(appendRFC5424(dst, l), l.Text, fileNewline)
			},
			Original: func(dst []byte, l *filter.Line) []byte {
				dst = append(dst, "<13>1 "...)
				dst = l.Time.AppendFormat(dst, time.RFC3339)
				return appendEscaped(appendRFC5424(dst, l), l.Text, fileNewline)
			},
		}
	}
	return &filter.Form{
		Name: "fail2ban/file",
		Build: func(dst []byte, l *filter.Line) []byte {
			return appendEscaped(appendHeader(dst, l, true), l.Text, fileNewline)
		},
		Original: func(dst []byte, l *filter.Line) []byte {
			dst = l.Time.AppendFormat(dst, time.Stamp)
			return appendEscaped(appendHeader(dst, l, true), l.Text, fileNewline)
		},
	}
}

// isWhole reports whether a line is one of a file, header and all: it says so, or it has neither
// host nor app.
func isWhole(l *filter.Line) bool { return len(l.Whole) > 0 || len(l.App)+len(l.Host) == 0 }

// wholeText is a line of a file as it was written, else the message.
func wholeText(l *filter.Line) []byte {
	if len(l.Whole) > 0 {
		return l.Whole
	}
	return l.Text
}

// orWhole uses the form for entries, and cuts the date out of lines of files.
func orWhole(form, whole *filter.Form, datePattern string) *filter.Form {
	out := *form
	if datePattern != lineDates {
		out.Name += " " + strconv.Quote(datePattern)
	}
	out.Build = func(dst []byte, l *filter.Line) []byte {
		if isWhole(l) {
			return whole.Build(dst, l)
		}
		return form.Build(dst, l)
	}
	if form.Original != nil {
		out.Original = func(dst []byte, l *filter.Line) []byte {
			if isWhole(l) {
				return whole.Original(dst, l)
			}
			return form.Original(dst, l)
		}
	}
	return &out
}

// lineDates is the date pattern of most filters of syslog files.
const lineDates = "{^LN-BEG}"

// hostForm writes the host in front of the message, for senders whose messages have no name of a
// program: what was taken for one is the beginning of the message.
func hostForm() *filter.Form {
	build := func(dst []byte, l *filter.Line) []byte {
		dst = append(append(append(dst, ' '), l.Host...), ' ')
		if len(l.App) > 0 {
			dst = append(append(dst, l.App...), ' ')
		}
		return appendEscaped(dst, l.Text, fileNewline)
	}
	return &filter.Form{Name: "fail2ban/host", Build: build, Original: func(dst []byte, l *filter.Line) []byte {
		return build(l.Time.AppendFormat(dst, time.Stamp), l)
	}}
}

// appendHeader writes "host app[pid]: ", behind a blank where a date stood.
func appendHeader(dst []byte, l *filter.Line, dated bool) []byte {
	if dated {
		dst = append(dst, ' ')
	}
	switch {
	case len(l.Host) > 0:
		dst = append(append(dst, l.Host...), ' ')
	case len(l.App) > 0:
		dst = append(dst, "localhost "...) // many patterns want a host before an app
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

// fileNewline is how syslog daemons write a line end inside of a message, so that one message
// cannot look like two lines of a file.
const fileNewline = "#012"

// appendEscaped writes a message with something else for its line ends.
func appendEscaped(dst, text []byte, newline string) []byte {
	for {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(append(dst, text[:i]...), newline...)
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
			text := wholeText(l)
			cut, _, ok := own.Find(text, l.Time)
			select {
			case free <- own:
			default:
			}
			if !ok {
				if blank {
					dst = append(dst, ' ')
				}
				return appendEscaped(dst, text, fileNewline)
			}
			return appendEscaped(appendEscaped(dst, text[:cut.Start], fileNewline), text[cut.End:], fileNewline)
		},
		Original: func(dst []byte, l *filter.Line) []byte { return appendEscaped(dst, wholeText(l), fileNewline) },
	}
}
