# packages: php-cli
# prints: /w/a.php /usr/bin/php8.4 /w
# prints: w
echo '<?php echo __FILE__, " ", PHP_BINARY, " ", realpath("."), "\n"; ' > a.php; php a.php
echo '$p = new PharData("/tmp/a.tar"); $p["q"] = "w"; echo file_get_contents("phar:///tmp/a.tar/q"), "\n";' >> a.php
php a.php | tail -1
