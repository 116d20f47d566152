package control_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/control/controltest"
)

// document is what the test reads of examples/openapi.yaml.
type document struct {
	Paths      map[string]map[string]operation
	Components struct {
		Schemas   map[string]schema
		Responses map[string]response
	}
}

type operation struct {
	Parameters  []struct{ Name, In string }
	RequestBody struct {
		Content map[string]struct{ Schema schema }
	} `yaml:"requestBody"`
	Responses map[string]response
}

type response struct {
	Ref     string `yaml:"$ref"`
	Content map[string]struct{ Schema schema }
}

type schema struct {
	Ref        string `yaml:"$ref"`
	Type       any
	Required   []string
	Properties map[string]schema
	Items      *schema
	OneOf      []schema `yaml:"oneOf"`
}

func openapi(t *testing.T) document {
	t.Helper()
	text, err := os.ReadFile("../../../examples/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// operations are "GET /v1/ping" and so on.
func (d document) operations() map[string]operation {
	all := make(map[string]operation)
	for path, methods := range d.Paths {
		for method, op := range methods {
			all[strings.ToUpper(method)+" "+path] = op
		}
	}
	return all
}

func TestOpenAPIHasEveryRoute(t *testing.T) {
	served := control.Routes(control.ServicesOf(&controltest.Fake{}))
	documented := slices.Sorted(maps.Keys(openapi(t).operations()))
	slices.Sort(served)
	if !slices.Equal(served, documented) {
		t.Errorf("served:\n%s\ndocumented:\n%s", strings.Join(served, "\n"), strings.Join(documented, "\n"))
	}
}

// bodies are the types of requests and answers.
var bodies = map[string]struct{ req, res any }{
	"GET /v1/ping":          {nil, control.Pong{}},
	"GET /v1/version":       {nil, control.Version{}},
	"GET /v1/status":        {nil, control.Status{}},
	"GET /v1/status/{jail}": {nil, control.JailReport{}},
	"GET /v1/jails":         {nil, []control.Jail{}},
	"GET /v1/sources":       {nil, []control.Source{}},
	"GET /v1/bans":          {nil, []control.Ban{}},
	"GET /v1/explain":       {nil, control.Explain{}},
	"GET /v1/doctor":        {nil, control.Diagnosis{}},
	"POST /v1/ban":          {control.BanRequest{}, control.BanResult{}},
	"POST /v1/unban":        {control.UnbanRequest{}, control.UnbanResult{}},
	"POST /v1/adopt":        {control.AdoptRequest{}, control.AdoptResult{}},
	"POST /v1/approve":      {control.SourceRequest{}, control.ApproveResult{}},
	"POST /v1/notify/test":  {control.NotifyRequest{}, control.NotifyResult{}},
	"POST /v1/release":      {control.SourceRequest{}, control.ReleaseResult{}},
	"POST /v1/reload":       {control.ReloadRequest{}, control.ReloadResult{}},
	"GET /v1/shadow":        {nil, []control.Shadow{}},
	"GET /v1/canary":        {nil, []control.Canary{}},
	"POST /v1/canary":       {control.CanaryRequest{}, control.CanaryKey{}},
	"GET /v1/log":           {nil, control.LogState{}},
	"POST /v1/log":          {control.LogRequest{}, control.LogState{}},
}

func TestOpenAPIHasEveryField(t *testing.T) {
	d := openapi(t)
	c := &comparison{t: t, d: d, seen: make(map[string]bool)}
	for name, op := range d.operations() {
		if name == "GET /metrics" {
			continue
		}
		b, ok := bodies[name]
		if !ok {
			t.Errorf("%s: the test does not know its types", name)
			continue
		}
		c.compare(name+" 200", op.Responses["200"].Content["application/json"].Schema, reflect.TypeOf(b.res), true)
		if b.req != nil {
			c.compare(name+" body", op.RequestBody.Content["application/json"].Schema, reflect.TypeOf(b.req), false)
		}
	}
	for name, r := range d.Components.Responses {
		c.compare(name, r.Content["application/json"].Schema, reflect.TypeOf(control.Error{}), true)
	}
	for name := range d.Components.Schemas {
		if !c.seen[name] {
			t.Errorf("schema %s is used nowhere", name)
		}
	}
}

// comparison walks schemas and types side by side.
type comparison struct {
	t    *testing.T
	d    document
	seen map[string]bool
}

var (
	timeType   = reflect.TypeFor[time.Time]()
	prefixType = reflect.TypeFor[netip.Prefix]()
	addrType   = reflect.TypeFor[netip.Addr]()
	targetType = reflect.TypeFor[control.Target]()
	textType   = reflect.TypeFor[control.Text]()
	countsType = reflect.TypeFor[control.Counts]()
)

func (c *comparison) compare(at string, s schema, typ reflect.Type, answer bool) {
	c.t.Helper()
	if s.Ref != "" {
		name := strings.TrimPrefix(s.Ref, "#/components/schemas/")
		if c.seen[name] {
			return
		}
		c.seen[name] = true
		var ok bool
		if s, ok = c.d.Components.Schemas[name]; !ok {
			c.t.Errorf("%s: schema %s does not exist", at, name)
			return
		}
	}
	null := false
	if typ.Kind() == reflect.Pointer {
		null, typ = true, typ.Elem()
	}
	null = null || typ == textType
	if null && len(s.OneOf) == 2 {
		if fmt.Sprint(s.OneOf[1].Type) != "null" {
			c.t.Errorf("%s: must allow null", at)
		}
		c.compare(at, s.OneOf[0], typ, answer)
		return
	}
	want := kindOf(typ)
	if null {
		want = "[" + want + " null]"
	}
	if got := fmt.Sprint(s.Type); got != want {
		c.t.Errorf("%s: type %s, want %s", at, got, want)
		return
	}
	switch want {
	case "array":
		if s.Items == nil {
			c.t.Errorf("%s: no items", at)
			return
		}
		c.compare(at+"[]", *s.Items, typ.Elem(), answer)
	case "object":
		if typ != countsType {
			c.fields(at, s, typ, answer)
		}
	}
}

func (c *comparison) fields(at string, s schema, typ reflect.Type, answer bool) {
	c.t.Helper()
	var required []string
	fields := make(map[string]bool)
	for _, f := range reflect.VisibleFields(typ) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || !f.IsExported() {
			continue
		}
		fields[name] = true
		if options == "" {
			required = append(required, name)
		}
		p, ok := s.Properties[name]
		if !ok {
			c.t.Errorf("%s.%s is not documented", at, name)
			continue
		}
		c.compare(at+"."+name, p, f.Type, answer)
	}
	for name := range s.Properties {
		if !fields[name] {
			c.t.Errorf("%s.%s is documented and does not exist", at, name)
		}
	}
	slices.Sort(required)
	documented := slices.Sorted(slices.Values(s.Required))
	if !slices.Equal(required, documented) {
		c.t.Errorf("%s: required %v, want %v", at, documented, required)
	}
}

func kindOf(typ reflect.Type) string {
	switch typ {
	case timeType, prefixType, addrType, targetType:
		return "string"
	case countsType:
		return "object"
	}
	switch typ.Kind() {
	case reflect.Slice:
		return "array"
	case reflect.Struct:
		return "object"
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Float64:
		return "number"
	}
	return "integer"
}

// TestOpenAPIHasEveryStatus makes every operation answer with every status that is documented for it.
func TestOpenAPIHasEveryStatus(t *testing.T) {
	fake := &controltest.Fake{}
	c := newCA(t)
	tcp := c.tcpOptions()
	c.client("reader")
	addr := serveTCP(t, fake, tcp)
	web, reader := c.web("", addr), c.web("reader", addr)
	bearer := []string{"Authorization", "Bearer " + secret, "Content-Type", jsonType}
	good := map[string]string{
		"/v1/ban": `{"address":"192.0.2.7"}`, "/v1/unban": `{"address":"192.0.2.7"}`, "/v1/approve": `{"source":"this-host"}`,
		"/v1/adopt":   `{"from":"fail2ban","bans":[{"jail":"sshd","address":"192.0.2.7/32","start":"2026-11-24T10:00:00Z","end":null,"count":1}]}`,
		"/v1/release": `{"source":"this-host"}`, "/v1/reload": `{}`, "/v1/canary": `{"source":"this-host"}`, "/v1/log": `{}`, "/v1/notify/test": `{"name":"good"}`,
		"/v1/explain": "?address=192.0.2.7", "/v1/status/{jail}": "",
	}
	seen := make(map[string]map[string]bool) // by operation
	note := func(op string, status int) {
		if seen[op] == nil {
			seen[op] = make(map[string]bool)
		}
		seen[op][fmt.Sprint(status)] = true
	}
	ops := openapi(t).operations()
	try := func(op string, client *http.Client, query, body string, header ...string) {
		t.Helper()
		method, path, _ := strings.Cut(op, " ")
		path = strings.Replace(path, "{jail}", "sshd", 1)
		status, _ := ask(t, client, method, "https://"+addr+path+query, body, header...)
		note(op, status)
	}
	for _, op := range slices.Sorted(maps.Keys(ops)) {
		method, path, _ := strings.Cut(op, " ")
		query, body := "", ""
		if method == "POST" {
			body = good[path]
		} else if strings.HasPrefix(good[path], "?") {
			query = good[path]
		}
		try(op, web, query, body, bearer...)
		try(op, web, query, body)
		try(op, web, query, body, append(bearer, "Host", "example.org")...)
		try(op, web, query, body, append(bearer, "Sec-Fetch-Site", "cross-site")...)
		if method == "POST" {
			try(op, reader, query, body, "Content-Type", jsonType)
			try(op, web, query, `{"nonsense":1}`, bearer...)
			try(op, web, query, body, append(bearer, "Content-Encoding", "gzip")...)
			try(op, web, query, `{"source":"`+strings.Repeat("x", 2<<20)+`"}`, bearer...)
		} else if path != "/metrics" && path != "/v1/status/{jail}" {
			try(op, web, "?nonsense=1", "", bearer...)
		}
	}
	status, _ := ask(t, web, "GET", "https://"+addr+"/v1/status/nope", "", bearer...)
	note("GET /v1/status/{jail}", status)
	try("POST /v1/notify/test", web, "", `{"name":"bad"}`, bearer...)
	try("POST /v1/reload", web, "", `{"keep":true}`, bearer...)
	try("POST /v1/canary", web, "", `{"source":"this-host","jail":"web","forget":true}`, bearer...)
	try("GET /v1/shadow", web, "?jail=sshd", "", bearer...)
	try("POST /v1/ban", web, "", `{"address":"203.0.113.7"}`, bearer...)
	try("POST /v1/ban", web, "", `{"address":"198.51.100.0/24"}`, bearer...)
	try("POST /v1/unban", web, "", `{"address":"198.51.100.1"}`, bearer...)
	try("POST /v1/unban", web, "", `{"address":"192.0.2.200"}`, bearer...)
	fake.FailReload(&control.Error{Code: control.CodeBadConfig, Message: "bad"})
	try("POST /v1/reload", web, "", `{}`, bearer...)
	for op, o := range ops {
		documented := slices.DeleteFunc(slices.Sorted(maps.Keys(o.Responses)), func(s string) bool { return s == "default" })
		got := slices.Sorted(maps.Keys(seen[op]))
		// this-host is in no quarantine: a release that works is not to be had here
		if op == "POST /v1/release" {
			got = append([]string{"200"}, got...)
		}
		if !slices.Equal(documented, got) {
			t.Errorf("%s: documented %v, answered %v", op, documented, got)
		}
	}
}
