package action

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// script is a command of an action, taken apart once: pieces of text and tags in turn.
type script struct {
	pieces []piece
	scrub  bool // it hands its arguments to another interpreter
}

// piece is a text, or a tag when that is set.
type piece struct {
	text string
	tag  string // of a value made here, in lower case
	said string // of what a line said: the text refers to its variable
}

// What hands text to another interpreter. shells parse it as commands: what a line said may not come near
// them. interpreters take a program as an argument: what a line said is scrubbed for a command that
// names one. Words that are English too count at the beginning of a command alone. They are compiled when
// there is an action.
var (
	shells = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?:^|[\s;&|({\x60"'/=])(?:eval|(?:ba|da|z|k|c|tc|a|mk|fi)?sh|s?ssh|rsh|busybox)(?:\s|$)|` +
			`(?:^|[\s;&|({\x60"'/])(?:su|runuser)\s[^\n;|&]*-c|(?:^|[\s;&|(])at\s+(?:now|-|[0-9])|` +
			`(?:^|[\n;&|({\x60])\s*(?:trap|source|\.|batch|expect|parallel)\s`)
	})
	interpreters = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?:^|[\s;&|({\x60"'/])(?:[gmn]?awk|g?sed|perl|python[0-9.]*|ruby|php|node|lua|tclsh|xargs|` +
			`expr|bc|dc|psql|mysql|mariadb|sqlite3|gdb|vim?|m4|nsupdate|find\s+[/.~$"-])(?:\s|$)|find\s+[/.~$"-]`)
	})
)

// newScript takes a command apart. nil: the command is empty.
func newScript(text string) (*script, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	s := &script{}
	p := shell{text: text}
	last := 0
	hostile := false
	var lost error // of a command that cannot be followed: it matters where a line's text is to stand in it
	for _, at := range tagShape.FindAllStringSubmatchIndex(text, -1) {
		tag := strings.ToLower(text[at[2]:at[3]])
		kind := dynamic[tag]
		if strings.HasPrefix(tag, "f-") {
			kind = quoted
		}
		if kind == 0 {
			continue // <<EOF>, a redirection, or a tag that nothing defines: it is the shell's
		}
		lost = errors.Join(lost, p.to(at[0]))
		s.add(piece{text: text[last:at[0]]})
		last = at[1]
		next := piece{tag: tag}
		if kind == quoted {
			hostile = true
			ref, err := p.reference(variable(tag))
			if err = errors.Join(lost, err); err != nil {
				return nil, fmt.Errorf("<%s> %w", tag, err)
			}
			next = piece{text: ref, said: tag}
		}
		s.add(next)
		p.past(at[1])
	}
	s.add(piece{text: text[last:]})
	if !hostile {
		return s, nil
	}
	if shells().MatchString(text) {
		return nil, errors.New("it hands text to a shell (eval, sh -c, ssh and the like): what a line said cannot stand in it")
	}
	s.scrub = interpreters().MatchString(text)
	return s, p.to(len(text))
}

func (s *script) add(p piece) {
	if p.text != "" || p.tag != "" {
		s.pieces = append(s.pieces, p)
	}
}

// variable is the name of a tag's environment variable.
func variable(tag string) string {
	return "STOCKADE_EVENT_" + strings.ToUpper(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, tag))
}

// fill returns the command and its environment for a ban.
func (s *script) fill(v *values) (text string, env []string) {
	var b strings.Builder
	seen := map[string]bool{}
	for _, p := range s.pieces {
		switch {
		case p.tag != "":
			b.WriteString(v.text(p.tag))
			continue
		case p.said != "" && !seen[p.said]:
			seen[p.said] = true
			said := v.said(p.said)
			if s.scrub {
				said = scrub(said)
			}
			env = append(env, variable(p.said)+"="+strings.ReplaceAll(said, "\x00", ""))
		}
		b.WriteString(p.text)
	}
	return b.String(), env
}

// errPlace is why a tag cannot be where it is.
var errPlace = errors.New("cannot stand there: ")
