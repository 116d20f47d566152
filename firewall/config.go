package firewall

import (
	"fmt"
	"strings"
)

// Config is the `firewall` block of the configuration. DefaultConfig has its defaults.
type Config struct {
	// Backend is "nftables", or "observe", which only records.
	Backend string `yaml:"backend"`
	// Table is the name of the nftables table of family inet that belongs to Stockade.
	Table string `yaml:"table"`
	// Verdict is what happens to the packets of a banned prefix: "drop" or "reject".
	Verdict string `yaml:"verdict"`
	// Owner is "auto" (the table belongs to the running process where the kernel can keep it
	// after the process ends, Linux 6.9 and later) or "off".
	Owner string `yaml:"owner"`
	// IPv6Prefix is the length, in bits, of the prefix an IPv6 offender is banned as.
	IPv6Prefix int `yaml:"ipv6_prefix"`
}

// The values of Config.Backend.
const (
	BackendNFTables = "nftables"
	BackendObserve  = "observe"
)

// The limits of Config.
const (
	// MaxTableName is the longest Config.Table, in bytes.
	MaxTableName = 32
	// MinIPv6Prefix and MaxIPv6Prefix bound Config.IPv6Prefix, in bits: the shortest is what a
	// provider hands to one site, the longest a single address.
	MinIPv6Prefix = 48
	MaxIPv6Prefix = 128
)

// DefaultConfig is the configuration of an absent block.
func DefaultConfig() Config {
	return Config{Backend: BackendNFTables, Table: "stockade", Verdict: "drop", Owner: "auto", IPv6Prefix: 64}
}

// Validate calls report once for each fault, with the path of the key and what is wrong with it.
func (c Config) Validate(report func(path, message string)) {
	oneOf := func(path, value string, legal ...string) {
		for _, l := range legal {
			if value == l {
				return
			}
		}
		report(path, fmt.Sprintf("%q is not one of %s", value, strings.Join(legal, ", ")))
	}
	oneOf("firewall.backend", c.Backend, BackendNFTables, BackendObserve)
	oneOf("firewall.verdict", c.Verdict, "drop", "reject")
	oneOf("firewall.owner", c.Owner, "auto", "off")
	if !validTable(c.Table) {
		report("firewall.table", fmt.Sprintf("%q is not a table name: a letter, then letters, digits and _, at most %d bytes",
			c.Table, MaxTableName))
	}
	if c.IPv6Prefix < MinIPv6Prefix || c.IPv6Prefix > MaxIPv6Prefix {
		report("firewall.ipv6_prefix", fmt.Sprintf("%d is not between %d and %d", c.IPv6Prefix, MinIPv6Prefix, MaxIPv6Prefix))
	}
}

// ParseVerdict reads "drop" or "reject"; an empty text is Drop.
func ParseVerdict(s string) (Verdict, error) {
	switch s {
	case "", "drop":
		return Drop, nil
	case "reject":
		return Reject, nil
	}
	return Drop, fmt.Errorf("verdict %q is not one of drop, reject", s)
}

// String is the verdict's name in the configuration.
func (v Verdict) String() string {
	if v == Reject {
		return "reject"
	}
	return "drop"
}

// validTable says whether nft takes the name as an identifier, unquoted.
func validTable(s string) bool {
	if s == "" || len(s) > MaxTableName {
		return false
	}
	for i, r := range []byte(s) {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r != '_' && (r < '0' || r > '9')) {
			return false
		}
	}
	return true
}
