#!/bin/sh
# nginx serves what lies in a home, to clients that come through a socket in /tmp.
set -eu
. "$(dirname "$0")/../../fixtures/daemons/common.sh"

mkdir -p /home/tailor/site
echo home > /home/tailor/site/page.html
chmod 755 /home/tailor /home/tailor/site
rm -f /tmp/tailor.sock
cat > /etc/nginx/conf.d/home.conf << 'SITE'
server {
    listen 8082;
    listen unix:/tmp/tailor.sock;
    root /home/tailor/site;
}
SITE
systemctl restart nginx.service
until_ok curl -sf http://127.0.0.1:8082/page.html
is home curl -sf http://127.0.0.1:8082/page.html
is home curl -sf --unix-socket /tmp/tailor.sock http://tailor/page.html
