package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"stockade/jails/filter/catalogue"
)

// Where packages put sshg-parser: Debian, others.
var parserPaths = []string{"/usr/libexec/sshguard/sshg-parser", "/usr/libexec/sshg-parser", "/usr/lib/sshguard/sshg-parser", "/usr/local/libexec/sshg-parser"}

// matcher is a program that looks at a log's lines.
type matcher struct {
	name  string
	log   *Corpus
	loops int // how often the log is given to it: what is fast needs more of it
	// command returns the program with the log, or with an empty one, as its input.
	command func(log string, input io.Reader) (*exec.Cmd, error)
	check   func(output []byte, lines int) error
	res     *Result
	start   []float64 // of an empty log, in ns
}

const fastLoops = 10

// matching compares what a line costs on one processor.
func (r *run) matching() error {
	mixed, err := Mixed(r.Seed, r.Lines)
	if err != nil {
		return err
	}
	all := strings.Join(catalogue.Names(), ",")
	list := []*matcher{
		r.stockade("stockade, sshd", "sshd", r.attack, true),
		r.stockade("stockade, whole catalogue", all, r.attack, true),
		r.stockade("stockade, whole catalogue, its samples", all, mixed, false),
	}
	for _, peer := range []func() (*matcher, error){r.parser, r.fail2ban} {
		m, err := peer()
		if err != nil {
			r.skip("matching", m.name, err)
			continue
		}
		list = append(list, m)
	}
	for _, m := range list {
		m.res = r.result("matching", m.name, "ns CPU/line")
	}
	logs, err := r.logs(r.attack, mixed)
	if err != nil {
		return err
	}
	for range r.Repeat {
		for _, m := range list {
			r.step("matching: " + m.name)
			per, err := r.cost(m, logs)
			if err != nil {
				return err
			}
			m.res.Samples = append(m.res.Samples, per)
			r.took()
		}
	}
	one := list[0].res
	list[1].res.compare(one)
	list[1].res.atMost(1.25)
	for _, m := range list[3:] {
		m.res.compare(one)
		switch m.name {
		case "sshg-parser":
			m.res.atLeast(2)
		case "fail2ban-regex":
			m.res.atLeast(60)
		}
	}
	return nil
}

// logs writes the corpora to files, and an empty one.
func (r *run) logs(all ...*Corpus) (map[*Corpus]string, error) {
	paths := map[*Corpus]string{nil: filepath.Join(r.Dir, "empty.log")}
	if err := os.WriteFile(paths[nil], nil, 0o644); err != nil {
		return nil, err
	}
	for _, c := range all {
		paths[c] = filepath.Join(r.Dir, c.Name+".log")
		if err := os.WriteFile(paths[c], c.File, 0o644); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// cost is what a line costs beyond the program's start and end.
func (r *run) cost(m *matcher, logs map[*Corpus]string) (float64, error) {
	once := func(c *Corpus, loops int) (time.Duration, error) {
		var parts []io.Reader
		for range loops {
			parts = append(parts, bytes.NewReader(m.log.File))
		}
		cmd, err := m.command(logs[c], io.MultiReader(parts...))
		if err != nil {
			return 0, err
		}
		var out bytes.Buffer
		cmd.Stdout = &out
		took, err := finish(cmd, r.Pin)
		if err == nil && loops > 0 {
			err = m.check(out.Bytes(), loops*m.log.Lines)
		}
		return took, err
	}
	idle, err := once(nil, 0)
	if err != nil {
		return 0, err
	}
	m.start = append(m.start, float64(idle))
	busy, err := once(m.log, m.loops)
	if err != nil {
		return 0, err
	}
	// A start costs the same each time; its median is the better guess of it.
	return (float64(busy) - median(m.start)) / float64(m.loops*m.log.Lines), nil
}

func (r *run) stockade(name, filters string, log *Corpus, failures bool) *matcher {
	return &matcher{
		name: name, log: log, loops: fastLoops,
		command: func(_ string, input io.Reader) (*exec.Cmd, error) {
			path, args, err := self("match", filters)
			if err != nil {
				return nil, err
			}
			cmd := exec.CommandContext(r.ctx, path, args...)
			cmd.Stdin = input
			cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
			return cmd, nil
		},
		check: func(output []byte, lines int) error {
			var got matched
			if err := json.Unmarshal(output, &got); err != nil {
				return err
			}
			if got.Lines != lines || got.Matches == 0 || failures && (got.Failures < lines/2 || got.Failures > lines*7/10) {
				return fmt.Errorf("%s: of %d lines %d were seen, %d matched, %d failures", name, lines, got.Lines, got.Matches, got.Failures)
			}
			return nil
		},
	}
}

func (r *run) parser() (*matcher, error) {
	m := &matcher{name: "sshg-parser", log: r.attack, loops: fastLoops}
	path := r.Parser
	for _, p := range parserPaths {
		if _, err := os.Stat(p); path == "" && err == nil {
			path = p
		}
	}
	if path == "" {
		return m, fmt.Errorf("not installed (Debian package sshguard; -sshg-parser names an unpacked one)")
	}
	m.command = func(_ string, input io.Reader) (*exec.Cmd, error) {
		cmd := exec.CommandContext(r.ctx, path)
		cmd.Stdin = input
		return cmd, nil
	}
	m.check = func(output []byte, lines int) error {
		if n := bytes.Count(output, []byte("\n")); n < lines/4 {
			return fmt.Errorf("sshg-parser: of %d lines %d matched", lines, n)
		}
		return nil
	}
	return m, nil
}

func (r *run) fail2ban() (*matcher, error) {
	m := &matcher{name: "fail2ban-regex", log: r.attack, loops: 1}
	path, err := exec.LookPath("fail2ban-regex")
	if err != nil {
		return m, fmt.Errorf("not installed (Debian package fail2ban)")
	}
	m.command = func(log string, _ io.Reader) (*exec.Cmd, error) {
		return exec.CommandContext(r.ctx, path, log, "sshd"), nil
	}
	m.check = func(output []byte, lines int) error {
		if !bytes.Contains(output, fmt.Appendf(nil, "Lines: %d lines", lines)) || bytes.Contains(output, []byte(" 0 matched")) {
			return fmt.Errorf("fail2ban-regex: %s", last(string(output)))
		}
		return nil
	}
	return m, nil
}
