# packages: ruby
# prints: 5
# prints: "/w/a.rb"
# prints: "/w\n"
# prints: 3
printf 'Gem::Specification.new{|s| s.name="loc";s.version="1";s.summary="x";s.authors=["me"];s.files=["lib/loc.rb"]}' > l.gemspec
mkdir lib; echo 'X = 5' > lib/loc.rb; gem build -q l.gemspec >/dev/null 2>&1; gem install -q --local loc-1.gem >/dev/null
echo 'require "loc"; p X, __FILE__, `pwd`; fork { exit 3 }; Process.wait; p $?.exitstatus' > /w/a.rb; ruby /w/a.rb
