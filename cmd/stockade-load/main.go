// Command stockade-load sends numbered syslog lines over UDP, TCP or a unix datagram socket, and
// reports what it sent. Another program can check by the numbers that none was lost.
//
//	stockade-load -to tcp:127.0.0.1:601 -count 1000000 -addresses 5000
//
// In the template {n} is the line's number from 1, {addr} an address out of the distinct ones,
// {stamp} the time as RFC 3164 writes it. A file holds one template a line, used in turn.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"stockade/cmd/stockade-load/bench"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		switch args[0] {
		case "bench":
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return bench.Main(ctx, args[1:], stdout, stderr, benchProgress(stderr))
		case bench.ChildArg:
			return bench.Child(args[1:], os.Stdin, stdout, stderr)
		}
	}
	fs := flag.NewFlagSet("stockade-load", flag.ContinueOnError)
	fs.SetOutput(stderr)
	var o options
	fs.StringVar(&o.to, "to", "", "where to send: udp:HOST:PORT, tcp:HOST:PORT, unixgram:PATH or - for standard output")
	fs.IntVar(&o.count, "count", 1000, "lines to send")
	fs.Float64Var(&o.rate, "rate", 0, "lines a second; 0 is as fast as it goes")
	fs.StringVar(&o.framing, "framing", "lf", "frames of a stream: lf or octet")
	fs.StringVar(&o.template, "template", "", "file with one line template a line; default: a failed ssh login")
	fs.IntVar(&o.addresses, "addresses", 1, "distinct addresses, from 198.18.0.0/15 on")
	fs.Float64Var(&o.failures, "failures", 1, "share of lines that use the template; the others match nothing")
	fs.BoolVar(&o.quiet, "quiet", false, "no progress on a terminal")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "stockade-load: unexpected argument %q\n", fs.Arg(0))
		return 2
	}
	l, err := newLoad(o)
	if err != nil {
		fmt.Fprintf(stderr, "stockade-load: %v\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	report, err := l.run(ctx, stdout, stderr)
	out := stdout
	if o.to == "-" {
		out = stderr
	}
	fmt.Fprintln(out, strings.TrimSpace(report.String()))
	if err != nil {
		fmt.Fprintf(stderr, "stockade-load: %v\n", err)
		return 1
	}
	return 0
}
