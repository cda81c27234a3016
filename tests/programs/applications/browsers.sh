# packages: chromium firefox-esr
# prints: 42file:
# prints: PNG
# prints: No usable sandbox!
echo '<p id=x></p><script>document.getElementById("x").textContent = 6 * 7 + location.protocol</script>' > a.html
chromium --headless --no-sandbox --disable-gpu --dump-dom file:///w/a.html 2>/dev/null | grep -o '42file:'
firefox-esr --headless --screenshot /w/f.png file:///w/a.html >/dev/null 2>&1; head -c4 f.png | tail -c3; echo
useradd -m u; runuser -u u -- chromium --headless --dump-dom about:blank 2>&1 | grep -o 'No usable sandbox!'
