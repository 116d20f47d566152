package client

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"stockade/cmd/stockade/config"
	"stockade/jails"
)

// withValue are fail2ban's options that take a value and say nothing about us: its own paths and
// its own process.
var withValue = []string{
	"-c", "--conf", "-s", "-p", "--pidfile", "--pname", "--loglevel", "--logtarget", "--syslogsocket", "--timeout",
}

// ignored are its options without a value that change nothing here.
var ignored = []string{"-v", "-vv", "-vvv", "-vvvv", "-q", "-x", "-b", "-f", "--async", "-i"}

// options takes the options in front of the command off. done: one of them was all there is to do.
func (s *session) options(args []string) (rest []string, done bool, err error) {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name, value, joined := strings.Cut(args[0], "=")
		args = args[1:]
		take := func() error {
			if joined {
				return nil
			}
			if len(args) == 0 {
				return usagef("%s needs a value", name)
			}
			value, args = args[0], args[1:]
			return nil
		}
		switch {
		case name == "--config":
			err = take()
			s.File = value
		case name == "--socket":
			if err = take(); !strings.HasSuffix(value, "fail2ban.sock") {
				s.Socket = value
			}
		case name == "-h" || name == "--help":
			s.help()
			return nil, true, nil
		case name == "-V":
			return nil, true, s.say("%s", s.Version)
		case name == "--version":
			return nil, true, s.say("Stockade v%s", strings.TrimPrefix(s.Version, "v"))
		case name == "-t" || name == "--test":
			return nil, true, s.test()
		case name == "-d" || name == "--dp" || name == "--dump-pretty":
			return nil, true, s.dump()
		case name == "--str2sec":
			if err = take(); err != nil {
				return nil, true, err
			}
			return nil, true, s.seconds(value)
		case slices.Contains(withValue, name):
			err = take()
			if (name == "-c" || name == "--conf" || name == "-s") && !strings.Contains(value, "fail2ban") {
				return nil, true, usagef("%s %s is fail2ban's: --config FILE names our configuration, --socket PATH our socket", name, value)
			}
		case slices.Contains(ignored, name):
		default:
			return nil, true, usagef("unknown option %s: fail2ban-client -h lists those that are known", name)
		}
		if err != nil {
			return nil, true, err
		}
	}
	return args, false, nil
}

// test checks the configuration.
func (s *session) test() error {
	problems := s.Check(s.File)
	if len(problems) == 0 {
		return s.say("OK: configuration test is successful")
	}
	for _, p := range problems {
		fmt.Fprintln(s.Err, p)
	}
	return s.refuse("ERROR: test configuration failed")
}

func (s *session) help() {
	fmt.Fprint(s.Out, `Usage: fail2ban-client [OPTIONS] COMMAND, answered by Stockade

Options:
    -t, --test              test the configuration
    -d                      dump the configuration, one command a line
    --str2sec STRING        convert a time to seconds
    -V, --version           print the version
    --config FILE           Stockade's configuration
    --socket PATH           Stockade's control socket

Commands:
    ping                                    is the daemon alive?
    version                                 its version
    status [JAIL [short]], status --all     its numbers
    stats                                   the numbers of all jails as a table
    banned [IP …]                           jails with their banned addresses, or the jails of addresses
    unban --all | IP …                      lift bans in all jails
    reload [JAIL]                           read the configuration again
    set JAIL banip IP …                     ban
    set JAIL unbanip [--report-absent] IP … lift bans in one jail
    get JAIL banip [SEP | --with-time]      banned addresses
    get JAIL banned [IP …]                  banned addresses, or whether these are
    get JAIL bantime | findtime | maxretry | ignoreip | ignoreself | usedns | actions
    flushlogs, echo, help

All else has a native command: stockade help.
`)
}

// resolved is a jail with its defaults filled in.
func resolved(cfg *config.Config, c jails.Config) (*jails.Jail, error) {
	return jails.New(cfg.Defaults, c, os.ReadFile)
}
