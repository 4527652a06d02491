package ops

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	cookieName = "spola"
	sessionFor = 12 * time.Hour
	formMost   = 16 << 10         // bytes of a form,
	formWithin = 10 * time.Second // and how long it may take to come
	hostsMost  = 1000             // that are remembered for a wrong password
)

// doorkeeper knows who has logged in. Without a password it lets in whoever comes to this host by one of its own names: the page of a
// stranger that has its name point here does not.
type doorkeeper struct {
	password string // empty: none is asked for

	mu       sync.Mutex
	sessions map[string]session   // by the cookie's value
	failed   map[string]time.Time // by host: when its password was wrong last
}

// session is one login.
type session struct {
	token string // that a form must bring along
	until time.Time
}

// of is the request's session; ok is false if there is none.
func (d *doorkeeper) of(r *http.Request) (s session, ok bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return s, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok = d.sessions[cookie.Value]
	return s, ok && time.Now().Before(s.until)
}

// begin begins a session.
func (d *doorkeeper) begin(out http.ResponseWriter, r *http.Request) session {
	key, s := rand.Text(), session{token: rand.Text(), until: time.Now().Add(sessionFor)}
	d.mu.Lock()
	defer d.mu.Unlock()
	for old, had := range d.sessions {
		if time.Now().After(had.until) || len(d.sessions) > 1000 { // nobody fills the memory by asking
			delete(d.sessions, old)
		}
	}
	d.sessions[key] = s
	http.SetCookie(out, &http.Cookie{Name: cookieName, Value: key, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil, MaxAge: int(sessionFor.Seconds())})
	return s
}

func (d *doorkeeper) end(r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.sessions, cookie.Value)
	}
}

// knows tells whether a password is the right one. Behind a wrong one its host is not heard for a second; others are, so that who guesses
// keeps nobody out.
func (d *doorkeeper) knows(password, from string) bool {
	host, _, err := net.SplitHostPort(from)
	if err != nil {
		host = from
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.failed[host]) < time.Second {
		return false
	}
	want, got := sha256.Sum256([]byte(d.password)), sha256.Sum256([]byte(password))
	right := d.password != "" && subtle.ConstantTimeCompare(want[:], got[:]) == 1
	if !right {
		if d.failed == nil || len(d.failed) >= hostsMost {
			d.failed = map[string]time.Time{}
		}
		d.failed[host] = time.Now()
	}
	return right
}

// form reads no more of a request than a form, and for no longer than one takes.
func form(out http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(out, r.Body, formMost)
	_ = http.NewResponseController(out).SetReadDeadline(time.Now().Add(formWithin)) // a connection that has none is a test's
}

// let answers whether a request may see the page, and with which session; if not it has been answered.
func (d *doorkeeper) let(out http.ResponseWriter, r *http.Request) (s session, ok bool) {
	if s, ok = d.of(r); ok {
		return s, true
	}
	switch {
	case d.password != "" && r.Method == http.MethodGet && r.URL.Path == "/":
		http.Redirect(out, r, "/login", http.StatusSeeOther)
	case d.password != "":
		http.Error(out, "log in at /login", http.StatusUnauthorized)
	case !ownName(r.Host):
		http.Error(out, "without a password the page is for this host alone: ask for 127.0.0.1 or localhost, or name page.password_file in spola.yaml", http.StatusForbidden)
	default:
		return d.begin(out, r), true
	}
	return s, false
}

// letForm is let for a form: it must bring the session's token along, so that no other page can send it.
func (d *doorkeeper) letForm(out http.ResponseWriter, r *http.Request) bool {
	s, ok := d.of(r)
	form(out, r)
	if !ok || subtle.ConstantTimeCompare([]byte(r.PostFormValue("token")), []byte(s.token)) != 1 {
		http.Error(out, "the form is not of this session: go back, load the page again, and send it then", http.StatusForbidden)
		return false
	}
	return true
}

// ownName tells whether a host of a request is this host by its own names.
func ownName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
