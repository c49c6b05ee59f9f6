// Package fetch reads what other people's addresses hold, for sources that are given an address: a web site, a JSON API.
// Such an address may be chosen, or answered, by somebody who means harm. So every connection is checked when it is made,
// whatever a name resolved to before: it goes to public addresses, and to others only where the configuration allows it.
package fetch

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// refused are the networks that are nobody's business on the internet, and addresses at which clouds tell secrets.
var refused = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"168.63.129.16/32", // tells Azure's machines about themselves
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

// global is what of IPv6 is routed on the internet; all else is refused: ::1, link-local, unique local, NAT64, mapped.
var global = netip.MustParsePrefix("2000::/3")

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// public reports whether an address is one of the internet's. An IPv4 address within IPv6 counts as what it is.
func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.Is6() && !global.Contains(a) {
		return false
	}
	return !slices.ContainsFunc(refused, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Allow is what may be reached besides public addresses.
type Allow struct {
	networks []netip.Prefix
	hosts    []string
}

// ParseAllow reads networks (10.1.0.0/16), addresses (10.1.2.3) and names of hosts (wiki.internal).
func ParseAllow(entries []string) (a Allow, err error) {
	for _, entry := range entries {
		if p, err := netip.ParsePrefix(entry); err == nil {
			if p.Addr().Is4In6() {
				return a, fmt.Errorf("%q: write the IPv4 network itself", entry)
			}
			a.networks = append(a.networks, p.Masked())
			continue
		}
		if ip, err := netip.ParseAddr(entry); err == nil {
			ip = ip.Unmap().WithZone("")
			a.networks = append(a.networks, netip.PrefixFrom(ip, ip.BitLen()))
			continue
		}
		if entry == "" || strings.ContainsAny(entry, "/:@*? \t") {
			return a, fmt.Errorf("%q is neither a network such as 10.1.0.0/16, nor an address, nor the name of a host", entry)
		}
		a.hosts = append(a.hosts, strings.ToLower(strings.TrimSuffix(entry, ".")))
	}
	return a, nil
}

func (a Allow) host(name string) bool {
	return slices.Contains(a.hosts, strings.ToLower(strings.TrimSuffix(name, ".")))
}

func (a Allow) address(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	return public(ip) || slices.ContainsFunc(a.networks, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// refusal says that a connection was not made.
type refusal struct{ host, address string }

func (r refusal) Error() string {
	return fmt.Sprintf("%s is at %s, which is no public address", r.host, r.address)
}

// check is asked with the address that is about to be connected to.
func (a Allow) check(host, address string) error {
	ip, _, err := net.SplitHostPort(address)
	if err != nil {
		return refusal{host, address}
	}
	parsed, err := netip.ParseAddr(ip)
	if err != nil || !a.address(parsed) {
		return refusal{host, ip}
	}
	return nil
}
