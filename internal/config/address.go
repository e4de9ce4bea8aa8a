package config

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// url makes a field from an absolute http(s) URL. No message quotes it: it may
// carry a password or a token.
func (d *decoder) url(field *string, check func(*url.URL) error) func(value) {
	return func(v value) {
		text, ok := d.text(v)
		if !ok {
			return
		}
		if text == "" {
			*field = ""
			return
		}
		u, err := parseURL(text)
		if err == nil {
			err = check(u)
		}
		if err != nil {
			d.wrong(v, "%s", err)
			return
		}
		*field = text
		if u.Scheme == "http" && !isLoopback(u.Hostname()) {
			d.warn(v, "plain http to another host, anyone between can read it; write https")
		}
	}
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || hasControl(text) || strings.ContainsAny(text, " \\"):
		return nil, errors.New("is no URL, write one like https://example.com/webhook")
	case u.Scheme == "":
		return nil, errors.New("has no scheme, write https:// before it")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("is neither http nor https, write https://")
	case u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("has no host, write https://HOST/PATH")
	case u.User != nil:
		return nil, errors.New("has a user name or password in it, write them as receiver.headers (Authorization) or leave them out")
	case u.Fragment != "" || strings.Contains(text, "#"):
		return nil, errors.New("has a fragment, remove it from # on")
	case !goodPort(u.Port()):
		return nil, errors.New("has a port out of range, write 1 to 65535")
	}
	return u, nil
}

func goodPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.Atoi(port)
	return err == nil && n >= 1 && n <= 65535
}

func baseURL(u *url.URL) error {
	if u.RawQuery != "" || u.ForceQuery {
		return errors.New("has a query, remove it from ? on")
	}
	return nil
}

func receiverURL(*url.URL) error { return nil }

// listenAddress is host:port, unix:/path, or "" for no listener.
func listenAddress(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if socket, ok := strings.CutPrefix(text, "unix:"); ok {
		if socket == "" {
			return "", errors.New("names no socket, write unix:/path")
		}
		_, err := socketPath(socket)
		return text, err
	}
	host, port, err := net.SplitHostPort(text)
	n, notNumber := strconv.Atoi(port)
	if err != nil || notNumber != nil || n < 0 || n > 65535 || host != "" && !isHost(host) {
		return "", errors.New("is no address, write 127.0.0.1:8710, unix:/path, or \"\" for none")
	}
	return text, nil
}

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`)

func isHost(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil || hostPattern.MatchString(text)
}

func hostName(text string) (string, error) {
	if !isHost(text) {
		return "", errors.New("is no host name, write the name alone, without scheme and port")
	}
	return text, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// beyondLoopback reports whether a listener can be reached from elsewhere. A
// socket of the file system cannot, nor can none.
func beyondLoopback(listen string) bool {
	if listen == "" || strings.HasPrefix(listen, "unix:") {
		return false
	}
	host, _, err := net.SplitHostPort(listen)
	return err != nil || !isLoopback(host)
}

// reaches reports whether a request to u would arrive at the listener. local
// are the addresses of this machine, for a listener on all of them.
func reaches(u *url.URL, listen string, names []string, local []netip.Addr) bool {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || strings.HasPrefix(listen, "unix:") || port != portOf(u) {
		return false
	}
	target := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if strings.EqualFold(target, host) || containsFold(names, target) {
		return true
	}
	if isAnywhere(host) {
		return isLoopback(target) || isAnywhere(target) || containsAddr(local, target)
	}
	return isLoopback(host) && (isLoopback(target) || isAnywhere(target))
}

// portIn is the port of a listener; "" for one that has none.
func portIn(listen string) string {
	_, port, err := net.SplitHostPort(listen)
	if err != nil || strings.HasPrefix(listen, "unix:") {
		return ""
	}
	return port
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// isAnywhere is true for the addresses that mean this machine as a whole.
func isAnywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

func containsFold(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func containsAddr(local []netip.Addr, text string) bool {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return false
	}
	for _, l := range local {
		if l.Unmap() == ip.Unmap() {
			return true
		}
	}
	return false
}

// localAddresses asks the kernel, not the network. Without an answer only
// loopback is known to be ours.
func localAddresses() []netip.Addr {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var found []netip.Addr
	for _, a := range all {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			found = append(found, prefix.Addr())
		}
	}
	return found
}
