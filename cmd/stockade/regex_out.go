package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"stockade/cmd/stockade/control"
)

// outTokens are what `-o` knows besides the names of fields.
const outTokens = "id, ip, row, msg, user, port, time, host, or text with tags such as \"<ip> <F-USER>\""

// out writes what -o asks for of one failure: a token, a field's name, or text with tags in angle
// brackets. The answer is one line without its end.
func (v *verdict) out(what string, line []byte) string {
	if what == "row" {
		return v.row()
	}
	if !strings.Contains(what, "<") {
		return control.Escape(v.token(what, line))
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(what, "<")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		tag, after, ok := strings.Cut(rest, ">")
		if !ok {
			return b.String() + "<" + rest
		}
		b.WriteString(control.Escape(v.token(strings.TrimSuffix(tag, "/"), line)))
		what = after
	}
}

// token returns the value of one token or field; empty when the failure has none.
func (v *verdict) token(name string, line []byte) string {
	m := &v.match
	name = strings.ToLower(name)
	name = strings.TrimPrefix(name, "f-")
	switch name {
	case "id", "fid":
		if m.ID != "" {
			return m.ID
		}
		return matchAddress(m)
	case "ip", "addr", "host":
		if a := matchAddress(m); a != "" || name == "ip" {
			return a
		}
		return m.ID
	case "ip4", "ip6":
		if m.Addr.IsValid() && m.Addr.Is4() == (name == "ip4") {
			return matchAddress(m)
		}
		return ""
	case "msg", "matches":
		return string(line)
	case "user":
		return m.User
	case "users":
		return strings.Join(m.Users, ", ")
	case "port", "fport":
		return m.Port
	case "failures", "attempts":
		return strconv.Itoa(m.Attempts)
	case "time":
		if v.stamp.IsZero() {
			return ""
		}
		return v.stamp.Format(time.RFC3339)
	}
	for _, f := range m.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// row writes the failure as fail2ban-regex does: who, when in seconds, and all values.
func (v *verdict) row() string {
	m := &v.match
	var values []string
	put := func(name, value string) {
		if value != "" {
			values = append(values, quoted(name)+": "+quoted(value))
		}
	}
	if m.Addr.IsValid() {
		put(map[bool]string{true: "ip4", false: "ip6"}[m.Addr.Is4()], m.Addr.String())
		if m.Bits >= 0 && m.Bits < m.Addr.BitLen() {
			put("cidr", strconv.Itoa(netip.PrefixFrom(m.Addr, m.Bits).Bits()))
		}
	}
	put("fid", m.ID)
	put("user", m.User)
	put("fport", m.Port)
	for _, f := range m.Fields {
		put(f.Name, f.Value)
	}
	at := "null"
	if !v.stamp.IsZero() {
		at = strconv.FormatInt(v.stamp.Unix(), 10)
	}
	return fmt.Sprintf("[%s,\t%s,\t{%s}],", quoted(v.token("id", nil)), at, strings.Join(values, ", "))
}

// quoted is a text in single quotes, as one line whatever is in it.
func quoted(s string) string {
	return "'" + strings.ReplaceAll(control.Escape(s), "'", `\'`) + "'"
}
