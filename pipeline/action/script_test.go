package action

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestReferencesSuitTheirPlace(t *testing.T) {
	const v = "${STOCKADE_EVENT_MATCHES}"
	for _, tc := range []struct{ in, want, bad string }{
		{"echo <matches>", `echo "` + v + `"`, ""},
		{`echo "<matches>"`, `echo "` + v + `"`, ""},
		{"echo '<matches>'", `echo ''"` + v + `"''`, ""},
		{"echo pre<matches>post", `echo pre"` + v + `"post`, ""},
		{`x=<matches>; echo "$x"`, `x="` + v + `"; echo "$x"`, ""},
		{`y=$(printf '%.1000s' "<matches>"); curl "$y"`, `y=$(printf '%.1000s' "` + v + `"); curl "$y"`, ""},
		{`echo "$(echo '<matches>')"`, `echo "$(echo ''"` + v + `"'')"`, ""},
		{"echo \"`echo <matches>`\"", "echo \"`echo " + v + "`\"", ""},
		{"echo `echo <matches>`", "echo `echo \"" + v + "\"`", ""},
		{"cat <<EOF\n<matches>\nEOF\necho <matches>", "cat <<EOF\n" + v + "\nEOF\necho \"" + v + `"`, ""},
		{"# <matches>\necho '#' <matches>", "# \necho '#' \"" + v + `"`, ""},
		{`printf %b "it's <matches>\n" | mail -s 'x' root`, `printf %b "it's ` + v + `\n" | mail -s 'x' root`, ""},
		{`if [ "<matches>" = "" ]; then echo no; fi`, `if [ "` + v + `" = "" ]; then echo no; fi`, ""},
		{`echo \"<matches>\"`, `echo \""` + v + `"\"`, ""},
		{"nft add element t s { <ip> }", "nft add element t s { 192.0.2.7 }", ""},
		{"echo $((<failures>+1)) <nothing> >> f", "echo $((3+1)) <nothing> >> f", ""},

		{"<matches>", "", "the name of a command"},
		{"true; <F-USER> x", "", "the name of a command"},
		{"if <matches>; then :; fi", "", "the name of a command"},
		{"A=1 <matches>", "", "the name of a command"},
		{"exec <matches>", "", "the name of a command"},
		{"echo $(<matches>)", "", "the name of a command"},
		{"true | sudo <F-USER>", "", "the name of a command"},
		{"echo ${x:-<matches>}", "", "${…}"},
		{"echo $((<F-PORT>))", "", "arithmetic"},
		{"cat <<'EOF'\n<matches>\nEOF", "", "not expanded"},
		{`eval "echo <matches>"`, "", "shell"},
		{`sh -c "echo <matches>"`, "", "shell"},
		{`/bin/bash -c 'echo <matches>'`, "", "shell"},
		{"sh <<EOF\necho <matches>\nEOF", "", "shell"},
		{`ssh gateway "block <F-USER>"`, "", "shell"},
		{`su - bob -c "x <matches>"`, "", "shell"},
		{`echo $'<matches>'`, "", "$'…'"},
	} {
		s, err := newScript(tc.in)
		if tc.bad != "" {
			if err == nil || !strings.Contains(err.Error(), tc.bad) {
				t.Errorf("%q: %v, want %q", tc.in, err, tc.bad)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tc.in, err)
			continue
		}
		got, _ := s.fill(&values{ban: Ban{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Failures: 3}})
		if got != tc.want {
			t.Errorf("%q becomes\n%q, want\n%q", tc.in, got, tc.want)
		}
	}
}

func TestTags(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	v := &values{host: "gate.example.net", ban: Ban{
		Prefix: netip.MustParsePrefix("2001:db8:1:2::/64"), Start: start, End: start.Add(time.Hour), Count: 2, Failures: 5, Restored: true,
	}}
	for tag, want := range map[string]string{
		"ip": "2001:db8:1:2::", "family": "inet6", "failures": "5", "bantime": "3600", "bancount": "2", "restored": "1", "time": "1800000000",
		"fq-hostname": "gate.example.net", "sh-hostname": "gate", "jail.found": "0", "br": "\n", "sp": " ",
		"ip-rev": "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.",
	} {
		if got := v.text(tag); got != want {
			t.Errorf("<%s> is %q, want %q", tag, got, want)
		}
	}
	v.ban = Ban{Prefix: netip.MustParsePrefix("192.0.2.0/24")}
	if got := v.text("ip") + " " + v.text("bantime") + " " + v.text("ip-rev"); got != "192.0.2.0/24 -1 0.2.0.192." {
		t.Errorf("a network: %q", got)
	}
	v.host = "a$(reboot);b"
	if got := v.text("fq-hostname"); got != "arebootb" {
		t.Errorf("a host name of shell text: %q", got)
	}
}

// FuzzScript holds that no text of a line is in a command, wherever a tag stands.
func FuzzScript(f *testing.F) {
	for _, s := range []string{"echo <matches>", "echo '<F-USER>' \"`<matches>\"", "cat <<E\n<matches>\nE\n", "$((<matches>", "${a:-\"<matches>\"}", "#<matches>\n'"} {
		f.Add(s)
	}
	v := &values{ban: Ban{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Matches: []string{"QQ'\"`$(QQ)\nQQ"}, User: "QQ;QQ"}}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToUpper(text), "QQ") || len(text) > 4096 { // names of tags become upper case
			return
		}
		s, err := newScript(text)
		if err != nil || s == nil {
			return
		}
		if got, _ := s.fill(v); strings.Contains(got, "QQ") {
			t.Errorf("%q becomes %q", text, got)
		}
	})
}
