package filter

import "testing"

func TestFields(t *testing.T) {
	json := &Fields{Format: "json", Take: map[string]string{"addr": "request.remote_ip", "user": "user"}, Where: map[string][]string{"status": {"401", "403"}}}
	kv := &Fields{Format: "kv", Take: map[string]string{"addr": "remote_addr", "user": "uname"}, Where: map[string][]string{"status": {"401"}}}
	csv := &Fields{Format: "csv", Take: map[string]string{"addr": "2"}, Where: map[string][]string{"0": {"block"}}}
	cef := &Fields{Format: "cef", Take: map[string]string{"addr": "src", "user": "suser"}, Where: map[string][]string{"signature": {"201"}}}
	not := &Fields{Format: "json", Take: map[string]string{"addr": "a"}, Where: map[string][]string{"error": {"!", "!ok"}, "u": {"*"}}}
	tests := []struct {
		name       string
		fields     *Fields
		text       string
		addr, user string
	}{
		{"json", json, `{"a":[1,{"request":{"remote_ip":"198.51.100.1"}}],"request":{"remote_ip":"192.0.2.1","x":null},"status":401,"user":"b\"o\u0062"}`, "192.0.2.1", `b"ob`},
		{"json of another status", json, `{"request":{"remote_ip":"192.0.2.1"},"status":200}`, "", ""},
		{"json with a string status", json, `{"request":{"remote_ip":"192.0.2.1"},"status":"403"}`, "192.0.2.1", ""},
		{"json behind a cookie", json, `@cee: {"request":{"remote_ip":"2001:db8::1"},"status":401}`, "2001:db8::1", ""},
		{"json with the field twice", json, `{"request":{"remote_ip":"192.0.2.1","remote_ip":"198.51.100.1"},"status":401}`, "", ""},
		{"json at another level", json, `{"x":{"request":{"remote_ip":"192.0.2.1"}},"status":401}`, "", ""},
		{"json cut off", json, `{"request":{"remote_ip":"192.0.2.1"},"status":401`, "", ""},
		{"json with more behind", json, `{"request":{"remote_ip":"192.0.2.1"},"status":401} {}`, "", ""},
		{"json in a string", json, `{"user":"\",\"status\":401","request":{"remote_ip":"192.0.2.1"},"status":200}`, "", ""},
		{"json with an address and port", json, `{"request":{"remote_ip":"192.0.2.1:80"},"status":401}`, "192.0.2.1", ""},
		{"json with a family", json, `{"request":{"remote_ip":"ipv6:2001:db8::1:80"},"status":401}`, "2001:db8::1", ""},
		{"json, none of", not, `{"a":"192.0.2.1","error":"bad","u":"x"}`, "192.0.2.1", ""},
		{"json, one of those", not, `{"a":"192.0.2.1","error":"ok","u":"x"}`, "", ""},
		{"json, absent", not, `{"a":"192.0.2.1","u":"x"}`, "", ""},
		{"kv", kv, `logger=context uname="a b" level=info status=401 remote_addr=192.0.2.1 x=`, "192.0.2.1", "a b"},
		{"kv with a quoted look-alike", kv, `uname="x remote_addr=198.51.100.1 \" y" status=401 remote_addr=192.0.2.1`, "192.0.2.1", `x remote_addr=198.51.100.1 " y`},
		{"kv with the field twice", kv, `remote_addr=198.51.100.1 status=401 remote_addr=192.0.2.1`, "", ""},
		{"kv with an open quote", kv, `status=401 remote_addr=192.0.2.1 uname="x`, "", ""},
		{"csv", csv, `block,in,192.0.2.1,80`, "192.0.2.1", ""},
		{"csv that is too short", csv, `block,in`, "", ""},
		{"cef", cef, `CEF:0|Maker|Thing|9.4|201|A \| b|7|proto=TCP suser=x y src=192.0.2.1 spt=1`, "192.0.2.1", "x y"},
		{"cef with the field twice", cef, `CEF:0|Maker|Thing|9.4|201|A|7|suser=x src=198.51.100.1 src=192.0.2.1`, "", ""},
		{"cef with an escaped look-alike", cef, `CEF:0|Maker|Thing|9.4|201|A|7|suser=x src\=198.51.100.1 src=192.0.2.1`, "192.0.2.1", `x src\=198.51.100.1`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := feed(t, Spec{Patterns: []Pattern{{Fields: tt.fields}}}, tt.text)
			switch g := got[0]; {
			case g == nil && tt.addr != "":
				t.Error("no match")
			case g != nil && (g.Addr.String() != tt.addr || g.User != tt.user):
				t.Errorf("got %+v", g)
			}
		})
	}
}

func FuzzFields(f *testing.F) {
	for _, s := range []string{`{"a":{"b":["192.0.2.1"]},"s":401}`, `{"a":"\u00e9\\"}`, `a=192.0.2.1 s="4\"01" b`, `1,2,3`, `CEF:0|a|b|c|d|e|f|src=192.0.2.1 x=y z`, `{`, `"`, `CEF:`} {
		f.Add([]byte(s))
	}
	var es []*extractor
	for _, fl := range []*Fields{
		{Format: "json", Take: map[string]string{"addr": "a.b.0", "user": "a"}, Where: map[string][]string{"s": {"*"}}},
		{Format: "kv", Take: map[string]string{"addr": "a"}, Where: map[string][]string{"s": {"401"}}},
		{Format: "csv", Take: map[string]string{"addr": "1"}},
		{Format: "cef", Take: map[string]string{"addr": "src"}},
	} {
		e, err := newExtractor(fl)
		if err != nil {
			f.Fatal(err)
		}
		es = append(es, e)
	}
	f.Fuzz(func(_ *testing.T, text []byte) {
		var v values
		for _, e := range es {
			e.match(text, &v)
		}
	})
}
