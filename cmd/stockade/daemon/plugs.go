package daemon

import (
	"fmt"
	"os"
	"time"

	"stockade/cmd/stockade/config"
	"stockade/jails/filter/dates"
	"stockade/receiver"
	"stockade/receiver/journald"
	"stockade/receiver/tail"
)

// plugs lists the inputs of a configuration.
func (d *daemon) plugs(c *config.Config) []plug {
	var list []plug
	at := func(name string, i int) string { return fmt.Sprintf("%s[%d]", name, i) }
	for i, l := range c.Listeners {
		o := receiver.Options{Config: l, Registry: d.registry, Open: d.pipeline.Open, Log: d.log, Inherited: d.inherited[l.Name]}
		list = append(list, plug{"listener " + l.Name, at("listeners", i), l, func() (Task, error) {
			if l.Transport == "journal-upload" {
				return journald.Listen(o, c.StateDir)
			}
			return receiver.Listen(o)
		}})
	}
	for i, t := range c.Tails {
		list = append(list, plug{"tail " + t.Name, at("tails", i), t, func() (Task, error) {
			return tail.New(tail.Options{
				Config: t, Registry: d.registry, Open: d.pipeline.Open, StateDir: c.StateDir, Log: d.log, Cut: cutDate(),
			})
		}})
	}
	for i, j := range c.Journals {
		list = append(list, plug{"journal " + j.Name, at("journals", i), j, func() (Task, error) {
			return journald.New(journald.Options{
				Config: j, Registry: d.registry, Open: d.pipeline.Open, StateDir: c.StateDir, Log: d.log,
			})
		}})
	}
	return list
}

// journalWay says how the built-in default reads the local journal, and the same for people.
func journalWay() (way, text string) {
	w := journald.Feed()
	switch {
	case w.Socket != "":
		return config.JournalSocket, w.Text
	case w.Journalctl != "":
		return config.JournalProgram, w.Text
	}
	return "", w.Text
}

// warnInherited names the sockets that systemd passed in for nobody.
func (d *daemon) warnInherited(c *config.Config) {
	unused := make(map[string][]*os.File)
	for name, files := range d.inherited {
		unused[name] = files
	}
	for _, l := range c.Listeners {
		delete(unused, l.Name)
	}
	for name := range unused {
		d.log.Warn("systemd passed in a socket that no listener is named after (FileDescriptorName= of the socket unit)", "socket", name)
	}
}

// cutDate takes the date out of a line of a file, as one goroutine needs it.
func cutDate() func(line []byte, now time.Time) (rest []byte, at time.Time, ok bool) {
	detector := dates.Default(dates.Options{})
	var buf []byte
	return func(line []byte, now time.Time) ([]byte, time.Time, bool) {
		cut, at, ok := detector.Find(line, now)
		if !ok {
			return line, time.Time{}, false
		}
		buf = append(append(buf[:0], line[:cut.Start]...), line[cut.End:]...)
		return buf, at, true
	}
}
