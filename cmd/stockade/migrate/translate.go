package migrate

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"stockade/jails/filter/fail2ban"
)

// Options say how a folder is translated.
type Options struct {
	Native   bool   // use Stockade's own filter where it has one for the same daemon
	StateDir string // where file channels write; "": /var/lib/stockade
	Hostname string // of this host, for the senders of mails; "": localhost
}

// Result is the translation of a folder.
type Result struct {
	Text   []byte // the file of the configuration
	Report Report
	Secret bool // the file holds keys of other services: it is for root alone
}

// Translate makes the enabled jails of a folder a file of Stockade's configuration. The same folder
// gives the same file. The error joins every jail's.
func Translate(s *Setup, o Options) (*Result, error) {
	if o.StateDir == "" {
		o.StateDir = "/var/lib/stockade"
	}
	if o.Hostname == "" {
		o.Hostname = "localhost"
	}
	t := &translator{setup: s, options: o, result: &Result{}, inputs: map[string]*input{}, names: map[string]string{}, channels: map[string]string{}}
	t.result.Report.Dir = s.Dir
	t.result.Report.Disabled = slices.Clone(s.Disabled)
	var faults faultList
	for _, j := range s.Jails {
		faults.add(j.Name, t.jail(j))
	}
	if err := faults.join(); err != nil {
		return nil, err
	}
	t.finish()
	return t.result, nil
}

// translator is the work on one folder.
type translator struct {
	setup    *Setup
	options  Options
	result   *Result
	doc      document
	inputs   map[string]*input // tails and journals by what they read
	order    []*input
	names    map[string]string // Stockade's names of jails, and whose they are
	channels map[string]string // names of channels by what they do
	never    []string          // names that ignoreip had
	actions  []string          // entries of the list actions
	jails    []string
}

func (t *translator) jail(j *Jail) error {
	r := JailReport{Name: t.jailName(j.Name), Fail2ban: j.Name, File: j.File, Line: j.Line}
	if r.File == "" {
		r.File, r.Line = t.setup.Files[0], 1
	}
	if r.Name != j.Name {
		r.different("the name "+j.Name, r.Name, "names are made of lower-case letters, digits and dashes")
	}
	m := &mapping{}
	m.key("name", r.Name)
	source, err := t.filter(j, &r, m)
	if err != nil {
		return err
	}
	blocks := t.act(j, &r)
	switch {
	case source == nil && !isRecidive(j):
		r.left("logpath", "name the files: tails: [{name: "+r.Name+", paths: [/var/log/…]}] with a source that feeds this jail", "the jail reads nothing")
	case source != nil:
		source.jails = append(source.jails, r.Name)
	}
	if err := t.numbers(j, &r, m); err != nil {
		return err
	}
	if len(blocks.ports) > 0 {
		m.list("ports", blocks.ports)
	}
	m.str("verdict", blocks.verdict)
	if !blocks.enforce {
		m.key("enforce", "false")
	}
	t.ignore(j, &r, m)
	m.key("notify", flow(blocks.notify))
	t.habits(j, &r)
	t.jails = append(t.jails, m.String())
	t.result.Report.Jails = append(t.result.Report.Jails, r)
	return nil
}

// jailName makes a name of fail2ban's one of ours, each once.
func (t *translator) jailName(name string) string {
	base := Name(name)
	unique := base
	for i := 2; t.names[unique] != ""; i++ {
		unique = base + "-" + strconv.Itoa(i)
	}
	t.names[unique] = name
	return unique
}

// Name is what a jail of fail2ban's is called in Stockade: lower-case letters, digits and dashes.
func Name(name string) string {
	var b strings.Builder
	for _, c := range []byte(strings.ToLower(name)) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || b.Len() > 0 && c == '-' {
			b.WriteByte(c)
		} else if b.Len() > 0 {
			b.WriteByte('-')
		}
	}
	const most = 64 // bytes
	out := strings.Trim(b.String()[:min(b.Len(), most)], "-")
	if out == "" {
		return "jail"
	}
	return out
}

// numbers writes maxretry, findtime, bantime and how bans grow.
func (t *translator) numbers(j *Jail, r *JailReport, m *mapping) error {
	if text := strings.TrimSpace(j.Options["maxretry"]); text != "" {
		if n, err := strconv.Atoi(text); err != nil || n < 1 {
			return fmt.Errorf("maxretry %q is no number from 1 on", clip(text))
		}
		m.key("maxretry", text)
		r.moved("maxretry = "+text, "maxretry: "+text)
	}
	for _, option := range []string{"findtime", "bantime"} {
		text, ok := j.Options[option]
		if !ok {
			continue
		}
		value, err := seconds(text)
		if err != nil {
			return fmt.Errorf("%s: %w", option, err)
		}
		m.key(option, quoteTime(value))
		r.moved(option+" = "+text, option+": "+value)
	}
	return t.increment(j, r, m)
}

// quoteTime writes a time as a YAML scalar.
func quoteTime(s string) string {
	if strings.ContainsAny(s, " \t") {
		return quote(s)
	}
	return s
}

// increment writes how the bans of repeat offenders grow: not at all, unless fail2ban says so.
func (t *translator) increment(j *Jail, r *JailReport, m *mapping) error {
	if !truth(j.Options["bantime.increment"]) {
		m.key("increment", "{enabled: false}")
		r.moved("bantime.increment = false", "increment: {enabled: false}")
		return nil
	}
	keys := []string{"enabled: true"}
	multipliers := "[]" // powers of two, as fail2ban's formula makes them
	if text := j.Options["bantime.multipliers"]; text != "" {
		var list []string
		for _, w := range splitWords(text) {
			if n, err := strconv.Atoi(w); err != nil || n < 1 {
				return fmt.Errorf("bantime.multipliers: %q is no number from 1 on", clip(w))
			}
			list = append(list, w)
		}
		multipliers = "[" + strings.Join(list, ", ") + "]"
	} else if f := strings.TrimSpace(j.Options["bantime.formula"]); f != "" && !defaultFormula(f) {
		r.left("bantime.formula = "+oneLine(f), "write the growth as increment.multipliers, such as [1, 2, 4, 8]; until then each ban is twice the one before",
			"a formula is a program in Python")
	}
	keys = append(keys, "multipliers: "+multipliers)
	if text := strings.TrimSpace(j.Options["bantime.factor"]); text != "" {
		f, err := factor(text)
		if err != nil {
			return fmt.Errorf("bantime.factor: %w", err)
		}
		keys = append(keys, "factor: "+f)
	}
	for _, option := range []string{"maxtime", "rndtime"} {
		text := strings.TrimSpace(j.Options["bantime."+option])
		if text == "" {
			continue
		}
		value, err := seconds(text)
		if err != nil {
			return fmt.Errorf("bantime.%s: %w", option, err)
		}
		keys = append(keys, option+": "+quoteTime(value))
	}
	if truth(j.Options["bantime.overalljails"]) {
		keys = append(keys, "overalljails: true")
	}
	value := "{" + strings.Join(keys, ", ") + "}"
	m.key("increment", value)
	r.moved("bantime.increment and its options", "increment: "+value)
	return nil
}

// factor reads a number, or a quotient of two such as 1/2.
func factor(text string) (string, error) {
	over, under, _ := strings.Cut(text, "/")
	value, err := strconv.ParseFloat(strings.TrimSpace(over), 64)
	if err == nil && under != "" {
		var d float64
		if d, err = strconv.ParseFloat(strings.TrimSpace(under), 64); err == nil {
			value /= d
		}
	}
	if err != nil || !(value > 0 && value < 1e6) {
		return "", fmt.Errorf("%q is no number above 0", clip(text))
	}
	return strconv.FormatFloat(value, 'f', -1, 64), nil
}

// defaultFormula reports whether a formula is fail2ban's own: twice as long each time.
func defaultFormula(f string) bool {
	return strings.Join(strings.Fields(f), "") == "ban.Time*(1<<(ban.Countifban.Count<20else20))*banFactor"
}

// ignore writes whom the jail never bans.
func (t *translator) ignore(j *Jail, r *JailReport, m *mapping) {
	taken, loopback, names, bad := addresses(j.Options["ignoreip"])
	if len(taken) > 0 {
		m.list("ignoreip", taken)
		r.moved("ignoreip = "+strings.Join(taken, " "), "ignoreip: "+flow(taken))
	}
	if len(loopback) > 0 {
		r.replaced("ignoreip = "+strings.Join(loopback, " "), "loopback is never banned, whatever is configured", "")
	}
	for _, n := range names {
		if !slices.Contains(t.never, n) {
			t.never = append(t.never, n)
		}
		r.different("ignoreip = "+n, "never_ban: ["+n+"], for all jails", "the name is looked up now and then, not at each line")
	}
	for _, b := range bad {
		r.left("ignoreip = "+clip(b), "name addresses, prefixes or file:/ABSOLUTE/PATH", "it names no such thing, or everything")
	}
	if text, ok := j.Options["ignoreself"]; ok && !truth(text) {
		r.different("ignoreself = false", "own addresses are never banned", "a ban of the host's own address cuts it off")
	} else {
		r.replaced("ignoreself", "own addresses are never banned, as they change", "")
	}
	if text := strings.TrimSpace(j.Options["ignorecommand"]); text != "" {
		r.left("ignorecommand = "+oneLine(text),
			"put the addresses that it lets through into a file, one a line, and name it: ignoreip: [file:/etc/stockade/"+r.Name+".allow]; write the file anew by a timer and run stockade reload",
			"no program runs for a line: whoever can cause lines would run it")
	}
}

// habits tells what works in another way here.
func (t *translator) habits(j *Jail, r *JailReport) {
	r.different("the window of findtime", "exact: a ban when maxretry failures lie within findtime",
		"fail2ban rescales one counter, so slow attempts near the limit may be decided otherwise")
	switch dns := strings.ToLower(strings.TrimSpace(j.Options["usedns"])); dns {
	case "", "no":
		r.moved("usedns = no", "names are never looked up")
	case "raw":
		r.moved("usedns = raw", "names are counted as they are, and not banned")
	default:
		r.different("usedns = "+dns, "names are never looked up: a line that names a host without its address does not match",
			"the answer belongs to whoever owns the name, and would be waited for at each line")
	}
	if tz := strings.TrimSpace(j.Options["logtimezone"]); tz != "" {
		r.different("logtimezone = "+tz, "live lines count when they arrive", "")
	}
	if enc := strings.ToLower(strings.TrimSpace(j.Options["logencoding"])); enc != "" && enc != "auto" && enc != "utf-8" && enc != "utf8" && enc != "ascii" {
		r.different("logencoding = "+enc, "bytes that are not UTF-8 match as one unknown character each", "")
	}
}

// isRecidive reports whether a jail counts the bans of others.
func isRecidive(j *Jail) bool {
	return j.Filter != nil && strings.TrimSuffix(filepath.Base(j.Filter.Path), ".conf") == "recidive"
}

// usesOwn reports which options of the filter the jail sets itself.
func usesOwn(j *Jail) []string {
	var own []string
	for _, option := range []string{"prefregex", "failregex", "ignoreregex", "maxlines", "datepattern"} {
		if strings.TrimSpace(j.Options[option]) != "" {
			own = append(own, option)
		}
	}
	return own
}

// reference writes the filter of a jail as a reference with options; "" when the options cannot be
// written, because a value holds both kinds of quotes.
func reference(f *Filter, jail *Jail) string {
	options := map[string]string{}
	for k, v := range f.Options {
		options[k] = v
	}
	for _, option := range usesOwn(jail) {
		if _, ok := options[option]; !ok {
			options[option] = jail.Options[option]
		}
	}
	if strings.EqualFold(strings.TrimSpace(jail.Options["usedns"]), "raw") && options["usedns"] == "" {
		options["usedns"] = "raw"
	}
	names := make([]string, 0, len(options))
	for k := range options {
		names = append(names, k)
	}
	slices.Sort(names)
	var list []string
	for _, k := range names {
		v := options[k]
		switch {
		case v != "" && strings.Trim(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/") == "":
		case !strings.Contains(v, `"`):
			v = `"` + v + `"`
		case !strings.Contains(v, "'"):
			v = "'" + v + "'"
		default:
			return ""
		}
		list = append(list, k+"="+v)
	}
	ref := fail2ban.Prefix + f.Path
	if len(list) > 0 {
		ref += "[" + strings.Join(list, ", ") + "]"
	}
	return ref
}
