package catalogue

import (
	"slices"
	"strings"
	"testing"
)

func TestSamples(t *testing.T) {
	entries, err := Load(files)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Run(e.Name, func(t *testing.T) {
			for _, fault := range e.Test() {
				t.Error(fault)
			}
		})
	}
}

func TestEveryEntryHasEnoughSamples(t *testing.T) {
	entries, err := Load(files)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		var match, none, marked, v6 int
		for _, s := range e.Samples {
			switch {
			case s.None != "":
				none++
			default:
				match++
				if strings.Contains(s.Line+strings.Join(s.Lines, ""), openMark) {
					marked++
				}
				if strings.Contains(s.Addr, ":") {
					v6++
				}
			}
		}
		if match < 2 || none < 2 || marked < 1 || v6 < 1 {
			t.Errorf("%s: %d matching (want 2), %d not matching (2), %d with marked fields (1), %d IPv6 (1)",
				e.Name, match, none, marked, v6)
		}
	}
}

func TestNames(t *testing.T) {
	names := Names()
	if !slices.IsSorted(names) || !slices.Contains(names, "sshd") {
		t.Fatalf("names %v", names)
	}
	if _, err := Get("sshdd", nil); err == nil || !strings.Contains(err.Error(), `did you mean "sshd"`) {
		t.Errorf("error %v", err)
	}
	if _, err := Get("sshd", map[string]string{"mood": "x"}); err == nil {
		t.Error("an unknown option is accepted")
	}
	if _, err := Get("sshd", map[string]string{"mode": "aggressive"}); err != nil {
		t.Error(err)
	}
}

// TestServices looks up the services under the names that people know them by.
func TestServices(t *testing.T) {
	services := strings.Fields(`sshd openssh dropbear sudo su pam pam-generic postfix dovecot exim exim4 nginx nginx-http-auth apache apache2 httpd
		apache-auth haproxy traefik caddy vsftpd proftpd pure-ftpd asterisk freeswitch openvpn wireguard mysql mariadb mysqld postgresql postgres mongodb
		redis valkey grafana gitlab gitea forgejo nextcloud vaultwarden bitwarden home-assistant homeassistant proxmox phpmyadmin roundcube webmin
		xrdp samba smbd mikrotik opnsense pfsense filterlog netfilter ufw port-scan unifi cisco-asa cisco-ios named bind unbound wordpress
		cowrie squid recidive`)
	services = append(services, "routeros") //nolint:misspell // its name
	for _, name := range services {
		if _, err := Find(name); err != nil {
			t.Error(err)
		}
	}
	if n := len(Names()); n < 60 {
		t.Errorf("%d filters, want at least 60", n)
	}
	seen := map[string]string{}
	for _, name := range Names() {
		e, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range append([]string{name}, e.Aliases...) {
			if other := seen[n]; other != "" {
				t.Errorf("%q is a name of both %s and %s", n, other, name)
			}
			seen[n] = name
		}
	}
}
