package client

import (
	"context"
	"fmt"
	"strings"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
)

// fail2ban's log levels, in our words, and back.
var levels = map[string]string{
	"CRITICAL": "error", "ERROR": "error", "WARNING": "warn", "NOTICE": "info", "INFO": "info",
	"DEBUG": "debug", "TRACEDEBUG": "debug", "HEAVYDEBUG": "debug",
}

// streams are the targets of fail2ban's that mean where a service's output goes: the journal.
var streams = map[string]bool{"STDERR": true, "STDOUT": true, "SYSOUT": true, "SYSTEMD-JOURNAL": true, "SYSLOG": true, "INHERITED": true}

// isLog reports whether a setting is one of the log's.
func isLog(what string) bool { return what == "loglevel" || what == "logtarget" }

// logging answers get and set of loglevel and logtarget; value is "" for get.
func (s *session) logging(ctx context.Context, d Daemon, what, value string) error {
	var r control.LogRequest
	switch word := strings.ToUpper(value); {
	case value == "":
	case what == "loglevel":
		if r.Level = levels[word]; r.Level == "" {
			return s.refuse("Invalid log level")
		}
	case streams[word]:
		r.Target = config.LogStderr
	default:
		r.Target = value
	}
	var st control.LogState
	var err error
	if value == "" {
		st, err = d.Log(ctx)
	} else {
		st, err = d.SetLog(ctx, r)
	}
	if err != nil {
		return err
	}
	if what == "loglevel" {
		level := strings.ToUpper(st.Level)
		if level == "WARN" {
			level = "WARNING"
		}
		return s.say("Current logging level is '%s'", level)
	}
	target := st.Target
	if target == config.LogStderr {
		target = "STDERR"
	}
	return s.lines([]string{"Current logging target is:", fmt.Sprintf("`- %s", control.Escape(target))})
}

// flushLogs opens the log's file anew, as after a rotation.
func (s *session) flushLogs(ctx context.Context, d Daemon, _ []string) error {
	st, err := d.Log(ctx)
	if err == nil {
		_, err = d.SetLog(ctx, control.LogRequest{Target: st.Target})
	}
	if err != nil {
		return err
	}
	return s.say("logs: flushed")
}
