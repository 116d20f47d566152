package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"stockade/cmd/stockade/control"
)

// topEvery is the time between two looks at the daemon.
const topEvery = time.Second

func (a *app) top() *cobra.Command {
	return a.reading(&cobra.Command{
		Use:   "top",
		Short: "Watch bans, failures, sources and rates on the terminal; q ends it",
		Long: `Watch bans, failures, sources and rates on the terminal; q ends it.

With --json it needs no terminal: it looks twice, a second apart, and prints one object.`,
		Args: cobra.NoArgs,
	}, func(ctx context.Context, _ []string) error {
		if a.json {
			return a.topOnce(ctx)
		}
		out, isOut := terminal(a.stdout)
		in, isIn := terminal(a.stdin)
		if !isOut || !isIn {
			return usagef("top: needs a terminal; elsewhere, stockade top --json has the numbers")
		}
		c, err := a.dial(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		m := &topModel{}
		if err := m.look(ctx, c); err != nil {
			return err
		}
		s, err := openScreen(in, out, a)
		if err != nil {
			return err
		}
		return errors.Join(a.watch(ctx, s, m, c), s.close())
	})
}

// look asks the daemon for a sample.
func (m *topModel) look(ctx context.Context, c *control.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 5*topEvery)
	defer cancel()
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	s := sample{at: time.Now(), status: st}
	if s.sources, err = c.Sources(ctx); err != nil {
		return err
	}
	if m.stale(st) { // a long list is not asked for every second
		bans, err := c.Bans(ctx, "")
		if err != nil {
			return err
		}
		s.bans = append([]control.Ban{}, bans...)
	}
	m.add(s)
	return nil
}

// watch draws until q is typed or ctx ends.
func (a *app) watch(ctx context.Context, s *screen, m *topModel, c *control.Client) error {
	ctx, cancel := context.WithCancel(ctx)
	var typing sync.WaitGroup
	defer typing.Wait()
	defer cancel()
	typing.Go(func() {
		s.waitFor(ctx, 'q', 'Q', 3, 27) // 3: Ctrl-C where it is no signal; 27: escape
		cancel()
	})
	tick := time.NewTicker(topEvery)
	defer tick.Stop()
	for {
		if err := s.draw(m.view); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := m.look(ctx, c); err != nil {
			m.err = err
		}
	}
}

// screen is a terminal that is drawn on as a whole.
type screen struct {
	in, out int
	a       *app
	saved   unix.Termios
}

// openScreen switches to the terminal's other page, without echo and line editing.
func openScreen(in, out int, a *app) (*screen, error) {
	saved, err := unix.IoctlGetTermios(in, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("read the settings of the terminal: %w", err)
	}
	s := &screen{in: in, out: out, a: a, saved: *saved}
	raw := *saved
	raw.Lflag &^= unix.ICANON | unix.ECHO
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 0, 2 // a read returns after 0.2 s at the latest
	if err := unix.IoctlSetTermios(in, unix.TCSETS, &raw); err != nil {
		return nil, fmt.Errorf("change the settings of the terminal: %w", err)
	}
	_, err = fmt.Fprint(a.stdout, "\x1b[?1049h\x1b[?25l")
	return s, err
}

// close puts the terminal back as it was.
func (s *screen) close() error {
	_, err := fmt.Fprint(s.a.stdout, "\x1b[?25h\x1b[?1049l")
	return errors.Join(err, unix.IoctlSetTermios(s.in, unix.TCSETS, &s.saved))
}

// waitFor reads keys until one of these is typed or ctx ends.
func (s *screen) waitFor(ctx context.Context, keys ...byte) {
	var b [16]byte
	for ctx.Err() == nil {
		n, err := unix.Read(s.in, b[:])
		if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return // the terminal is gone
		}
		for _, key := range b[:max(n, 0)] {
			if strings.IndexByte(string(keys), key) >= 0 {
				return
			}
		}
	}
}

// draw shows what view says for the terminal's size.
func (s *screen) draw(view func(width, height int) []string) error {
	width, height := 80, 24
	if size, err := unix.IoctlGetWinsize(s.out, unix.TIOCGWINSZ); err == nil && size.Col > 0 && size.Row > 0 {
		width, height = int(size.Col), int(size.Row)
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, line := range view(width, height) {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line + "\x1b[K")
	}
	b.WriteString("\x1b[J")
	_, err := fmt.Fprint(s.a.stdout, b.String())
	return err
}
