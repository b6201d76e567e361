#!/bin/sh
# A script of Apache's PHP runs a command in a user namespace of its own.
set -eu
. "$(dirname "$0")/../../fixtures/daemons/common.sh"

echo '<?php echo trim(shell_exec("unshare --user --map-root-user id -u 2>&1"));' > /var/www/html/namespace.php
until_ok curl -sf http://127.0.0.1/
is 0 curl -sf http://127.0.0.1/namespace.php
