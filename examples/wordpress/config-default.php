<?php
// Settings of WordPress, from the function's environment.
define('DB_NAME', getenv('DB_NAME') ?: 'wordpress');
define('DB_USER', getenv('DB_USER') ?: 'wordpress');
define('DB_PASSWORD', getenv('DB_PASSWORD'));
define('DB_HOST', getenv('DB_HOST') ?: 'host.sampan.internal:3306');
define('DB_CHARSET', 'utf8mb4');
define('WP_HOME', getenv('SITE_URL'));
define('WP_SITEURL', getenv('SITE_URL'));
// Equal in all instances; otherwise a login at one would be invalid at the others.
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $name) {
    define($name . '_KEY', hash_hmac('sha256', $name . '_KEY', getenv('AUTH_SECRET')));
    define($name . '_SALT', hash_hmac('sha256', $name . '_SALT', getenv('AUTH_SECRET')));
}
// The image contains the code: a change in one instance would not reach the others.
define('DISALLOW_FILE_MODS', true);
define('WP_DEBUG_LOG', '/dev/stderr');
