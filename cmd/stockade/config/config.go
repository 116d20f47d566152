package config

import (
	"stockade/firewall"
	"stockade/jails"
	"stockade/receiver"
)

// Config is the whole configuration as decoded. Zero values mean "not written, no default".
type Config struct {
	StateDir   string                    `yaml:"state_dir"`
	Control    ControlConfig             `yaml:"control"`
	Log        LogConfig                 `yaml:"log"`
	Listeners  []receiver.ListenerConfig `yaml:"listeners"`
	Tails      []TailConfig              `yaml:"tails"`
	Journals   []JournalConfig           `yaml:"journals"`
	Sources    []receiver.SourceConfig   `yaml:"sources"`
	Defaults   jails.DefaultsConfig      `yaml:"defaults"`
	Jails      []jails.Config            `yaml:"jails"`
	NeverBan   []string                  `yaml:"never_ban"` // addresses, prefixes, file:PATH
	Proxies    []string                  `yaml:"proxies"`   // addresses and prefixes, file:PATH
	ProtectLAN bool                      `yaml:"protect_lan"`
	Firewall   firewall.Config           `yaml:"firewall"`
}

// ControlConfig is `control`: where the daemon answers its operators, and whom.
type ControlConfig struct {
	Socket    string `yaml:"socket"`     // absolute path of the unix socket
	Group     string `yaml:"group"`      // may read and change; absent: root only
	ReadGroup string `yaml:"read_group"` // may read
	Listen    string `yaml:"listen"`     // host:port of the TCP listener; absent: none
	Cert      string `yaml:"cert"`
	Key       string `yaml:"key"`
	ClientCA  string `yaml:"client_ca"`
	TokenFile string `yaml:"token_file"`
}

// LogConfig is `log`: what the daemon says of itself.
type LogConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // auto, text, json
}

// TailConfig is one entry of `tails`: files that are followed.
type TailConfig struct {
	Name  string   `yaml:"name"`
	Paths []string `yaml:"paths"` // absolute, with globs
	App   string   `yaml:"app"`   // the app name of lines without a syslog header
	From  string   `yaml:"from"`  // end, start: where a file seen for the first time is begun
}

// JournalConfig is one entry of `journals`: a reader of the local journal.
type JournalConfig struct {
	Name    string   `yaml:"name"`
	Matches []string `yaml:"matches"` // FIELD=value, as journalctl takes them; absent: everything
}
