package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stockade/pipeline/child"
)

// maxOutput is how much of a program's output an error tells, in bytes.
const maxOutput = 512

// program runs a program once an event, without a shell. What the event says is in its environment.
type program struct {
	cfg  *Config
	args []*template
}

func newProgram(c *Config) (*program, error) {
	p := &program{cfg: c}
	for _, arg := range c.Command[1:] {
		t, err := parseArgument(arg)
		if err != nil {
			return nil, err
		}
		p.args = append(p.args, t)
	}
	return p, nil
}

func (*program) close() {}

func (p *program) send(ctx context.Context, m *message) error {
	out, err := child.Run(ctx, child.Command{Path: p.cfg.Command[0], Args: p.arguments(m), Env: environment(m), User: p.cfg.User})
	var start *child.StartError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &start):
		return permanent(start.Err)
	case ctx.Err() == nil && out != "":
		return fmt.Errorf("%s: %w: %s", p.cfg.Command[0], err, clean(out, maxOutput))
	default:
		return fmt.Errorf("%s: %w", p.cfg.Command[0], err)
	}
}

// arguments are those of a message, without the program's name.
func (p *program) arguments(m *message) []string {
	args := make([]string, len(p.args))
	for i, t := range p.args {
		args[i] = t.fill(m)
	}
	return args
}

// environment is what a program gets of the event.
func environment(m *message) []string {
	var env []string
	for _, f := range m.fields() {
		env = append(env, "STOCKADE_EVENT_"+strings.ToUpper(f.name)+"="+strings.ReplaceAll(f.value, "\x00", ""))
	}
	slices.Sort(env)
	return env
}
